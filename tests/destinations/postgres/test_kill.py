"""Processes that die at any step of a pull into a table: the next one goes on, and each row is there once."""

from __future__ import annotations

import pytest

from tests.api.scripted import scripted
from tests.destinations.postgres.killed_pull import KINDS, pull, pull_in_process
from tests.destinations.postgres.tables import Warehouse
from tests.engine.cut_off import PagedApi

pytestmark = pytest.mark.slow
EXPECTED = [f"ann-{number}" for number in range(11)]


def check_kill(database: str, warehouse: Warehouse, kind: str, share: float) -> None:
    """Kills a pull after ``share`` of its steps, then lets another one finish."""
    api = PagedApi("cursor", {"ann": 6})
    with scripted(api) as server:
        probe = (database, f"{warehouse.schema}_probe", kind, server.url)
        code, printed = pull_in_process(*probe, "0")
        assert code == 0
        step = max(1, round(int(printed) * share))
        options = (database, warehouse.schema, kind, server.url)
        assert pull_in_process(*options, str(step))[0] == -9
        summary = pull(*options)
    rows = warehouse.ask(f"SELECT to_jsonb(r) FROM {warehouse.schema}.rows r ORDER BY _row_number")
    found = [row["id"] if kind in {"columns", "append"} else row["record"]["id"] for (row,) in rows]
    assert found == EXPECTED
    assert summary.files[0].rows == len(EXPECTED)
    assert warehouse.stages() == []


@pytest.mark.parametrize("part", range(8))
def test_a_pull_that_was_killed_is_whole_after_the_next(
    postgres_url: str, warehouse: Warehouse, part: int
) -> None:
    kind = list(KINDS)[part % len(KINDS)]
    check_kill(postgres_url, warehouse, kind, (part + 0.7) / 8)


@pytest.mark.full
@pytest.mark.parametrize("part", range(40))
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_pull_that_was_killed_anywhere_is_whole_after_the_next(
    postgres_url: str, warehouse: Warehouse, kind: str, part: int
) -> None:
    check_kill(postgres_url, warehouse, kind, (part + 1) / 40)
