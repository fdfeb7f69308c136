"""Tests of this folder run on Delta Lake and on Iceberg."""

from __future__ import annotations

import pytest

from tests.tables.kinds import KINDS, Kind


@pytest.fixture(params=["delta", "iceberg"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of table under test."""
    pytest.importorskip({"delta": "deltalake"}.get(request.param, "pyiceberg"))
    return next(kind for kind in KINDS if kind.name == request.param)
