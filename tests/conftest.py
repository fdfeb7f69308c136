"""Fixtures that several folders share, and the choice of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lanes import (
    pytest_addoption,
    pytest_collection,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_runtest_call,
)
from tests.mariadb import mariadb_url
from tests.pgbouncer import pooled_url, session_pool_url, transaction_pool_url
from tests.postgres import postgres_url
from tests.support.masking import forget_secrets

__all__ = [
    "mariadb_url",
    "pooled_url",
    "postgres_url",
    "pytest_addoption",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_ignore_collect",
    "pytest_runtest_call",
    "session_pool_url",
    "transaction_pool_url",
]


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    yield
    forget_secrets()
