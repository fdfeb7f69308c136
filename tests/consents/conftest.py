"""Consents in flight on real databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from oauth_taskflow.consents.record import PendingConsent
from oauth_taskflow.consents.sql import SqlConsentStore
from oauth_taskflow.consents.table import CONSENTS
from tests.database_server import empty_tables
from tests.tokens.conftest import KEY

SECRET = "s3cret-" * 6
STATE = "state-of-one-attempt"


def make_pending(**changes: Any) -> PendingConsent:
    """A consent in flight that ann asked for, with a secret in each field that may have one."""
    whole = {
        "conn_id": "crm",
        "user_id": "ann",
        "binding": "b" * 64,
        "redirect_uri": "https://airflow.example.com/oauth/callback",
        "state": SECRET,
        "verifier": SECRET,
        "dpop_key": SECRET,
        "device_code": SECRET,
    }
    return PendingConsent(**{**whole, **changes})


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without consents, on every kind that the tests can have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tokens.db'}"
    return empty_tables(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def servers(url: str) -> Iterator[list[SqlConsentStore]]:
    """Three API servers' views of one database."""
    stores = [SqlConsentStore(url, [KEY]) for _ in range(3)]
    yield stores
    for store in stores:
        store.close()
    engine = create_engine(url)
    CONSENTS.drop(engine, checkfirst=True)
    engine.dispose()
