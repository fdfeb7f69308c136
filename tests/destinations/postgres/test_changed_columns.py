"""Columns that are widened keep every digit, whatever the login sets; also where another run changes them before this one writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    def change_structure(target: Target, connection: Any) -> None:
        real(target, connection)
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


# Of a field longer than the name of a column, so that the statements have it as a text.
ODD = "a\\'b" * 20


@pytest.mark.parametrize(
    "login",
    ["-c extra_float_digits=-3 -c timezone=Asia/Tokyo", "-c standard_conforming_strings=off"],
)
@pytest.mark.parametrize("take", [1, 3000], ids=["at once", "streamed"])
def test_settings_of_the_login_change_no_value(warehouse: Warehouse, login: str, take: int) -> None:
    warehouse.found.extra_dejson = {"options": login}
    record = {"id": 1, "x": 0.30000000000000004, ODD: "it's"}
    first = warehouse.pull([[record]], run="r0", layout="columns")
    (part,) = warehouse.destination(layout="columns").describe(first).parts

    def read() -> list[Any]:
        return list(warehouse.destination(layout="columns").read(part.path, 0, take))

    assert read() == [record]
    pull(warehouse, "r1", "replace_run", b'{"id":2,"x":12345678901234567.25}')
    assert warehouse.column("x::text") == ["0.30000000000000004", "12345678901234567.25"]
    assert read() == [record]
