"""Each test of this folder runs on every kind of table; skipped without the library of the kind."""

from __future__ import annotations

import pytest

from tests.tables.kinds import KINDS, Kind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of table under test."""
    found: Kind = request.param
    pytest.importorskip({"delta": "deltalake", "iceberg": "pyiceberg"}[found.name])
    return found
