"""Tests of this folder run on DuckDB and on PostgreSQL."""

from __future__ import annotations

import pytest

from tests.tables.kinds import KINDS, POSTGRES, Kind


@pytest.fixture(params=["dlt-duckdb", "dlt-postgres"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of table under test."""
    if request.param == "dlt-postgres":
        pytest.importorskip("psycopg2")
        url = request.getfixturevalue("postgres_url")
        POSTGRES[:] = [url.replace("+psycopg://postgres@", "://postgres:trusted@")]
    return next(kind for kind in KINDS if kind.name == request.param)


@pytest.fixture
def duckdb() -> Kind:
    """The kind on DuckDB."""
    return next(kind for kind in KINDS if kind.name == "dlt-duckdb")


@pytest.fixture
def postgres(postgres_url: str) -> Kind:
    """The kind on PostgreSQL."""
    pytest.importorskip("psycopg2")
    POSTGRES[:] = [postgres_url.replace("+psycopg://postgres@", "://postgres:trusted@")]
    return next(kind for kind in KINDS if kind.name == "dlt-postgres")
