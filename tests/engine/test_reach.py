"""How far a run came, by pages whose records change while they are read: the next run reads every change that this one did not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oauth_taskflow.api.options import NextUrlPaginator
from oauth_taskflow.engine.reach import Reach
from oauth_taskflow.specs.request import Request
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.watermarks.state import compare, fingerprint
from tests.api.scripted import Asked
from tests.engine.test_positions import BY_TIME as CONTACTS
from tests.engine.test_positions import Bench, Contacts, bench, endpoint

__all__ = ["bench"]

MOMENT = datetime(2026, 1, 3, 12, 0, 20, 900_000, tzinfo=timezone.utc)
BY_TIME = Incremental(by="watermark", field="at", start="2026-01-01")
BY_NUMBER = Incremental(by="watermark", field="at", field_format="integer")
SIZE = 3


def write_time(moment: datetime, unit: int) -> str:
    """The time as an API with times of ``unit`` seconds writes it."""
    seconds = int(moment.timestamp()) // unit * unit
    written = datetime.fromtimestamp(seconds, timezone.utc)
    if unit == 86_400:
        return written.strftime("%Y-%m-%d")
    return written.strftime("%Y-%m-%dT%H:%MZ" if unit == 60 else "%Y-%m-%dT%H:%M:%SZ")


def read_pages(
    reach: Reach, rows: list[dict[str, Any]], changes: list[tuple[int, int, Any]]
) -> list[Any]:
    """Reads the rows in their places, page by page; a change is made after a page. Returns the value that each was read with."""
    read = []
    for number in range(-(-len(rows) // SIZE)):
        page = [dict(row) for row in rows[number * SIZE : (number + 1) * SIZE]]
        read += [row["at"] for row in page]
        reach.add(page, frozenset())
        for after, place, value in changes:
            if after == number:
                rows[place % len(rows)]["at"] = value
    return read


def come_in_order(read: list[Any]) -> bool:
    """Whether the pages look like those of a sorted list; within each page, newest first is an order too."""
    pages = [read[start : start + SIZE] for start in range(0, len(read), SIZE)]
    upwards = [sorted(page) for page in pages]
    in_order = all(page in (up, up[::-1]) for page, up in zip(pages, upwards, strict=True))
    return in_order and sorted(read) == [value for up in upwards for value in up]


def find_lost(reach: Reach, rows: list[dict[str, Any]], read: list[Any]) -> list[Any]:
    """The rows whose last change neither this run read nor the next one, whose bound is inclusive."""
    return [
        row
        for row, value in zip(rows, read, strict=True)
        if row["at"] != value and reach.value is not None and compare(row["at"], reach.value) < 0
    ]


@given(
    unit=st.sampled_from([1, 60, 86_400]),
    ages=st.lists(st.integers(-90_000, 200_000), min_size=1, max_size=12),
    changes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11), st.integers(0, 200_000))),
)
def test_no_change_is_lost_however_coarse_times_are(
    unit: int, ages: list[int], changes: list[tuple[int, int, int]]
) -> None:
    rows = [{"at": write_time(MOMENT - timedelta(seconds=age), unit)} for age in ages]
    later = sorted(changes, key=lambda change: change[2])
    made = [(*c[:2], write_time(MOMENT + timedelta(seconds=c[2]), unit)) for c in later]
    reach = Reach(BY_TIME, MOMENT)
    read = read_pages(reach, rows, made)
    assert find_lost(reach, rows, read) == []
    assert reach.value is None or reach.value in read


@given(
    values=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    changes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11))),
)
def test_no_change_is_lost_where_numbers_come_in_another_order(
    values: list[int], changes: list[tuple[int, int]]
) -> None:
    rows = [{"at": value} for value in values]
    numbered = sorted(changes)  # the API counts on with each change
    made = [(*change, 51 + number) for number, change in enumerate(numbered)]
    reach = Reach(BY_NUMBER, MOMENT)
    read = read_pages(reach, rows, made)
    assume(not come_in_order(read))  # an API that sorts: what changes comes at the end
    assert find_lost(reach, rows, read) == []


@pytest.mark.parametrize(
    ("pages", "value", "warns"),
    [
        ([[1, 2, 3], [3, 4]], 4, False),
        ([[2, 1], [4, 3]], 4, False),  # newest first within each page, as Mastodon's min_id gives
        ([[9, 8], [7, 6]], 9, False),
        ([["9", "10"], ["11"]], "11", False),
        ([[3, 1, 2]], 3, False),  # one page is one moment
        ([[3, 1, 2], [4, 5]], 3, True),
        ([[1, 2], [5, 3, 4]], 2, True),
        ([[1, 2], [3, 4], [2, 9]], 2, True),
        ([[None, 1], [None], [2]], 2, False),
    ],
)
def test_numbers_count_as_long_as_pages_come_in_their_order(
    pages: list[list[Any]], value: Any, warns: bool
) -> None:
    reach = Reach(
        Incremental(by="watermark", field="at", field_format="integer", missing="include"), MOMENT
    )
    for page in pages:
        reach.add([{"at": each} for each in page], frozenset())
    assert reach.value == value
    warning = reach.describe_rest()
    assert (warning is not None) == warns
    assert warning is None or warning.startswith(
        "The pages are not in the order of incremental.field, so the next run begins at the highest value of the first page"
    )


def test_a_watermark_that_cannot_move_is_a_warning() -> None:
    reach = Reach(BY_TIME, MOMENT)
    reach.add([{"at": "2026-01-04"}], frozenset())
    assert reach.value is None
    warning = reach.describe_rest()
    assert warning is not None
    assert warning.startswith(
        "All values of incremental.field are later than the moment of the run, so the watermark did not move"
    )


@pytest.mark.parametrize("kept", range(5))
@pytest.mark.parametrize(
    ("options", "values"),
    [
        (BY_TIME, ["2026-01-01", "2026-01-02", "2026-01-09", "2026-01-02", "2026-01-01"]),
        (BY_NUMBER, [10**40, 10**40, 3, 10**41, 5]),
        (BY_NUMBER, [1, 2, 2, 10**40, 10**40]),
    ],
)
def test_a_pull_that_was_cut_off_comes_as_far_as_one_that_was_not(
    options: Incremental, values: list[Any], kept: int
) -> None:
    pages = [[{"id": number % 2, "at": value}] for number, value in enumerate(values)]
    whole, first, second = (Reach(options, MOMENT) for _ in range(3))
    for page in pages:
        whole.add(page, frozenset())
    for page in pages[:kept]:
        first.add(page, frozenset())
    second.restore(first.save())
    for page in pages[kept:]:
        second.add(page, frozenset())
    assert (second.value, second.marks) == (whole.value, whole.marks)
    assert second.describe_rest() == whole.describe_rest()


def test_newest_first_the_records_at_the_highest_number_are_known_to_the_next_run() -> None:
    reach = Reach(BY_NUMBER, MOMENT)
    pages: list[list[dict[str, Any]]] = [[{"at": 9}, {"at": 9}, {"at": 8}], [{"at": 7}]]
    for page in pages:
        reach.add(page, frozenset())
    assert (reach.value, reach.marks) == (9, [fingerprint({"at": 9})] * 2)
    assert reach.describe_rest() is None


class Rows:
    """An API with 200 rows by id in two pages; ``change`` is called once after the first one."""

    def __init__(self, rows: list[dict[str, Any]], change: Any) -> None:
        self.rows, self._change = rows, change

    def __call__(self, asked: Asked) -> Any:
        since = asked.query["since"]
        wanted = [row for row in self.rows if compare(row["at"], type(row["at"])(since)) >= 0]
        if "page" in asked.query:
            return {"data": wanted[100:]}
        page = wanted[:100]
        change, self._change = self._change, lambda _: None
        page = [dict(row) for row in page]
        change(self.rows)
        further = f"{asked.path}?since={since}&page=2" if len(wanted) > 100 else None
        return {"data": page, "next": further}


def test_a_row_that_changes_in_the_second_of_the_run_is_read_by_the_next_one(bench: Bench) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[5]["at"], rows[150]["at"] = "2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"

    api = Rows([{"id": n, "at": "2026-01-01T11:00:00Z"} for n in range(200)], change)
    wanted = endpoint(BY_TIME, paginate=NextUrlPaginator(next="next"), primary_key="id")
    bench.run("a", wanted, api, minutes=0)
    found, _ = bench.run("b", wanted, api, minutes=1)
    assert {row["id"] for row in found} == {5, 150}


def test_a_row_whose_number_grows_is_read_by_the_next_run(bench: Bench) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[5]["at"], rows[150]["at"] = 1201, 1202

    api = Rows([{"id": n, "at": 1001 + n} for n in range(200)], change)
    wanted = endpoint(
        BY_NUMBER,
        paginate=NextUrlPaginator(next="next"),
        primary_key="id",
        request=Request(path="/contacts", params={"since": "{{ watermark.value | default(0) }}"}),
    )
    _, summary = bench.run("a", wanted, api)
    assert summary.watermark == 1100
    (warning,) = summary.warnings
    assert warning.startswith("The pages are not in the order of incremental.field")
    found, summary = bench.run("b", wanted, api, minutes=1)
    assert {5, 150} <= {row["id"] for row in found}


@pytest.mark.parametrize("primary_key", [None, "id"])
def test_equal_records_at_the_watermark_are_as_many_as_the_api_has(
    bench: Bench, primary_key: str | None
) -> None:
    event = {"id": 1, "msg": "login failed", "at": "2026-01-01T11:59:59Z"}
    rows = [event]
    wanted = endpoint(BY_TIME, primary_key=primary_key)
    first, _ = bench.run("a", wanted, lambda _: {"data": rows})
    rows = [event] * 3
    second, _ = bench.run("b", wanted, lambda _: {"data": rows}, minutes=1)
    third, _ = bench.run("c", wanted, lambda _: {"data": rows}, minutes=2)
    found = [len(first), len(second), len(third)]
    assert found == ([1, 2, 0] if primary_key is None else [1, 0, 0])


def test_an_instant_after_the_run_began_is_read_again(bench: Bench) -> None:
    api = Contacts()
    api.add(-1, 5)
    found, _ = bench.run("a", CONTACTS, api)
    assert len(found) == 2
    # Not the moment itself: where times are coarser, a change after it may show an earlier one.
    assert bench.list_stored() == [("", "2026-01-01T11:59:00Z")]
    found, _ = bench.run("b", CONTACTS, api, minutes=1)
    assert [row["id"] for row in found] == [1]
