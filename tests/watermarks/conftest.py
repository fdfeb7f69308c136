"""Stores of watermarks on every database, and an endpoint to keep them for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.tokens.conftest import real_store_url

__all__ = ["real_store_url"]


@pytest.fixture
def identity(request: pytest.FixtureRequest) -> EndpointId:
    """An endpoint that no other test uses: servers are shared."""
    return EndpointId("crm", request.node.name[:200], "crm")


@pytest.fixture
def store(real_store_url: str) -> Iterator[WatermarkStore]:
    store = WatermarkStore(real_store_url, most_partitions=50, runs_kept=5)
    yield store
    store.close()
