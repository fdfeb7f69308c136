"""Fixtures that several folders share, and how patient generated examples are."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.lanes import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_runtest_call,
)
from tests.mariadb import mariadb_url
from tests.postgres import postgres_url

__all__ = [
    "mariadb_url",
    "postgres_url",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_ignore_collect",
    "pytest_runtest_call",
]

# The machine is shared, and the first call into a library imports half of it: a slow example says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=20)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=1000)
settings.load_profile("patient")
