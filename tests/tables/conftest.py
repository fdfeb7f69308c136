"""Each test of this folder runs on every kind of table; skipped without the library of the kind.

What dlt does with PostgreSQL is tested in ``warehouses``, and with ``--full`` here too: each of its loads takes a second.
"""

from __future__ import annotations

import pytest

from tests.postgres import postgres_url
from tests.support.lanes import gate_and_full
from tests.tables.kinds import KINDS, POSTGRES, Kind

__all__ = ["postgres_url"]


_SLOWEST = "dlt-postgres"
_GATE = [kind for kind in KINDS if kind.name != _SLOWEST]
_FULL = [kind for kind in KINDS if kind.name == _SLOWEST]


@pytest.fixture(params=gate_and_full(_GATE, _FULL), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of table under test."""
    found: Kind = request.param
    pytest.importorskip({"delta": "deltalake", "iceberg": "pyiceberg"}.get(found.name, "dlt"))
    if found.name == _SLOWEST:
        pytest.importorskip("psycopg2")
        url = request.getfixturevalue("postgres_url")
        POSTGRES[:] = [url.replace("+psycopg://postgres@", "://postgres:trusted@")]
    return found
