"""Listings that change while they are read, in any way: which losses a primary key and a total show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import OffsetPaginator, PageNumberPaginator, Paginate, Records
from oauth_taskflow.api.pull.caps.past_cap import pull_records
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PagesCutShort, PaginationLoop
from tests.api.pull.offline import Offline, first_page

MOVED = "rows changed their place while pages were read"


class ChangingListing:
    """Rows in an order, of which each request gives a page of two and the number of all. Each change follows a page.

    A change is a kind and two places: to move a row, insert one or delete one. ``last`` are the rows at the last request.
    """

    def __init__(self, rows: int, changes: Sequence[tuple[str, int, int]]) -> None:
        self.rows = list(range(rows))
        self.last: list[int] = []
        self._new = rows
        self._changes = iter(changes)

    def __call__(self, asked: ApiRequest) -> Any:
        params = asked.params
        start = params["offset"] if "offset" in params else 2 * (params["page"] - 1)
        self.last = list(self.rows)
        rows = self.rows[start : start + 2]
        body = {"items": [{"id": row} for row in rows], "total": len(self.rows)}
        self._change(*next(self._changes, ("none", 0, 0)))
        return body

    def _change(self, kind: str, source: int, target: int) -> None:
        if kind in {"move", "delete"} and self.rows:
            row = self.rows.pop(source % len(self.rows))
            if kind == "move":
                self.rows.insert(target % (len(self.rows) + 1), row)
        if kind == "insert":
            self.rows.insert(target % (len(self.rows) + 1), self._new)
            self._new += 1


def read(listing: ChangingListing, paginate: Paginate) -> tuple[set[int], str]:
    """Returns the rows that came, and the error that ended the pull, empty without one."""
    came: set[int] = set()
    options: dict[str, Any] = {"records": Records(path="items"), "primary_key": "id", "ahead": 0}
    try:
        for record in pull_records(Offline(listing), first_page, paginate=paginate, **options):
            came.add(record["id"])
    except (PagesCutShort, PaginationLoop) as error:
        return came, str(error)
    return came, ""


styles = st.sampled_from(
    [PageNumberPaginator(size=2, total="total"), OffsetPaginator(size=2, total="total")]
)
places = st.integers(0, 9)
kinds = st.sampled_from(["none", "move", "insert", "delete"])


@given(st.integers(0, 9), st.lists(st.tuples(kinds, places, places), max_size=6), styles)
def test_a_pull_that_fails_for_moved_rows_has_missed_one_that_is_there(
    rows: int, changes: list[tuple[str, int, int]], paginate: Paginate
) -> None:
    listing = ChangingListing(rows, changes)
    came, error = read(listing, paginate)
    if MOVED in error:
        assert set(listing.last) - came
    assert read(ChangingListing(rows, []), paginate) == (set(range(rows)), "")


@given(
    st.integers(0, 9),
    st.lists(st.tuples(st.sampled_from(["none", "move"]), places, places), max_size=6),
    styles,
)
def test_no_row_is_lost_silently_where_rows_only_move(
    rows: int, changes: list[tuple[str, int, int]], paginate: Paginate
) -> None:
    listing = ChangingListing(rows, changes)
    came, error = read(listing, paginate)
    assert error or came == set(listing.last)


@pytest.mark.parametrize("change", [("insert", 0, 0), ("insert", 0, 9), ("delete", 5, 0)])
def test_rows_that_are_added_or_deleted_behind_the_page_are_no_loss(
    change: tuple[str, int, int],
) -> None:
    listing = ChangingListing(6, [change])
    came, error = read(listing, PageNumberPaginator(size=2, total="total"))
    assert (error, set(listing.rows) & set(range(6)) - came) == ("", set())
