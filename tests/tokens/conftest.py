"""Stores and servers for the token tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.database_server import empty_tables
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore

KEY = Fernet.generate_key().decode()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[ClockedStore]:
    """A SQLite store on the fake clock."""
    store = ClockedStore(f"sqlite:///{tmp_path}/tokens.db", [KEY], clock=clock)
    yield store
    store.close()


@pytest.fixture(
    params=[
        *("sqlite", "postgresql", "mariadb"),
        pytest.param("pgbouncer", marks=pytest.mark.full),
    ]
)
def real_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, on every database that the tests can have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tokens.db"
    fixtures = {
        "postgresql": "postgres_url",
        "mariadb": "mariadb_url",
        "pgbouncer": "transaction_pool_url",
    }
    return empty_tables(request.getfixturevalue(fixtures[request.param]))


@pytest.fixture
def real_store(real_store_url: str) -> Iterator[SqlTokenStore]:
    """A store that goes by its database's clock."""
    store = SqlTokenStore(real_store_url, [KEY])
    yield store
    store.close()


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    """An authorization server that rotates refresh tokens, without grace."""
    with OAuthTestServer() as server:
        yield server
