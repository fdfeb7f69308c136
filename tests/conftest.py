"""Fixtures that several folders share."""

from __future__ import annotations

from tests.mariadb import mariadb_url
from tests.postgres import postgres_url

__all__ = ["mariadb_url", "postgres_url"]
