"""A schema for each test on the one server."""

from __future__ import annotations

import secrets

import pytest

from tests.destinations.postgres.tables import Warehouse


@pytest.fixture
def warehouse(postgres_url: str) -> Warehouse:
    """A database with a schema that no other test uses, which does not exist yet."""
    return Warehouse(postgres_url, f"t{secrets.token_hex(6)}")
