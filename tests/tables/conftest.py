"""Each test of this folder runs on every kind of table; skipped without the library of the kind."""

from __future__ import annotations

import pytest

from tests.postgres import postgres_url
from tests.tables.kinds import KINDS, POSTGRES, Kind

__all__ = ["postgres_url"]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of table under test."""
    found: Kind = request.param
    pytest.importorskip({"delta": "deltalake", "iceberg": "pyiceberg"}.get(found.name, "dlt"))
    if found.name == "dlt-postgres":
        pytest.importorskip("psycopg2")
        url = request.getfixturevalue("postgres_url")
        POSTGRES[:] = [url.replace("+psycopg://postgres@", "://postgres:trusted@")]
    return found
