"""Another run widens or drops a column after this one has planned its columns, and before it writes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.postgres.target import Target
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse

FACTS = EndpointFacts(("id",))
MODES = ["replace_run", "append", "merge"]


def pull(warehouse: Warehouse, run: str, mode: str, *records: bytes) -> None:
    pages = [[msgspec.Raw(record) for record in records]]
    warehouse.pull(pages, FACTS, run=run, layout="columns", mode=mode)


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Lets ``change`` happen once, after the next run has planned its columns."""
    real = Target.change_structure

    def change_structure(target: Target, connection: object) -> None:
        real(target, connection)  # type: ignore[arg-type]  # a connection
        monkeypatch.setattr(Target, "change_structure", real)
        change()

    monkeypatch.setattr(Target, "change_structure", change_structure)


@pytest.mark.parametrize("mode", MODES)
def test_a_column_that_another_run_widens_gets_every_digit(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    pull(warehouse, "r0", mode, b'{"id":0,"x":0.5}')
    longer = b'{"id":2,"x":12345678901234567.25}'
    meanwhile(monkeypatch, lambda: pull(warehouse, "r2", mode, longer))
    pull(warehouse, "r1", mode, b'{"id":1,"x":0.30000000000000004}')
    found = warehouse.column("x::text", order="id")
    assert found == ["0.5", "0.30000000000000004", "12345678901234567.25"]


@pytest.mark.parametrize("mode", MODES)
def test_a_column_that_is_dropped_fails_the_run_and_says_so(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    pull(warehouse, "r0", mode, b'{"id":0,"x":0.5}')
    drop = f"ALTER TABLE {warehouse.schema}.contacts DROP COLUMN x"
    meanwhile(monkeypatch, lambda: warehouse.ask(drop))
    with pytest.raises(DestinationError, match=r"^Column 'x' was dropped or changed") as caught:
        pull(warehouse, "r1", mode, b'{"id":1,"x":1.5}')
    assert caught.value.retryable
    pull(warehouse, "r1", mode, b'{"id":1,"x":1.5}')
    assert warehouse.column("x", order="id") == [None, 1.5]
