"""The fixtures of tests on PostgreSQL."""

from __future__ import annotations

from tests.destinations.postgres.conftest import warehouse

__all__ = ["warehouse"]
