"""The destination by PgBouncer, which gives its two sessions of the server to the clients that have a transaction."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.destinations.postgres import staging
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.killed_pull import KINDS
from tests.destinations.postgres.proxy import cutting_proxy
from tests.destinations.postgres.tables import Warehouse, ids, summary
from tests.destinations.postgres.test_kill import check_kill

INSTANCES, RECORDS = 6, 300


@pytest.fixture
def pooled(pooled_url: str) -> Warehouse:
    """A separate schema, reached by the pooler."""
    return Warehouse(pooled_url, f"t{secrets.token_hex(6)}")


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
def test_instances_at_once_stage_and_commit_each_record_once(
    pooled: Warehouse, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(staging, "_BACKGROUND_BYTES", 2_000)  # several transactions before the last
    facts = EndpointFacts(("id",))

    def pull(number: int) -> None:
        records = [{"id": number * RECORDS + n, "at": n} for n in range(RECORDS)]
        pages = [records[start : start + 100] for start in range(0, RECORDS, 100)]
        for _ in range(2):
            pooled.pull(pages, facts, map_index=number, layout="columns", mode=mode)

    with ThreadPoolExecutor(INSTANCES) as threads:
        list(threads.map(pull, range(INSTANCES)))
    assert sorted(pooled.column("id")) == list(range(INSTANCES * RECORDS))
    assert pooled.stages() == []


@pytest.mark.parametrize("forwards", [False, True], ids=["request lost", "answer lost"])
def test_a_connection_to_the_pooler_that_is_lost_at_the_commit_is_cleared_up(
    pooled: Warehouse, forwards: bool
) -> None:
    with cutting_proxy(pooled.found.port or 0, b"COMMIT", forwards=forwards, cuts=0) as proxy:
        pooled.found.port = proxy.port
        writer = pooled.destination().open(Run("contacts", "r1", dag_id="crm"))
        writer.write(ids(50))
        writer.keep(b"state")
        proxy.left = 1
        writer.commit(summary(50))
        assert proxy.left == 0
    assert len(pooled.column("record")) == 50
    assert pooled.stages() == []


def test_options_that_the_pooler_does_not_know_are_one_clear_error(pooled: Warehouse) -> None:
    pooled.found.extra_dejson = {"options": "-c statement_timeout=60000"}
    with pytest.raises(DestinationError, match="unsupported startup parameter: options"):
        pooled.pull([ids(1)])


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_pull_that_was_killed_anywhere_is_whole_after_the_next(
    pooled_url: str, pooled: Warehouse, kind: Any, part: int
) -> None:
    check_kill(pooled_url, pooled, kind, (part + 1) / 8)
