"""The keyset style: for any sizes, orders and equal keys each record comes once, and what cannot be read fails."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import CursorPaginator, KeysetPaginator, Records, TotalRows
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord, PaginationLimit
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import Offline, first_page
from tests.api.scripted import Asked

ITEMS = Records(path="items")


class Table:
    """An API that sorts its rows by ``at`` and answers with those behind ``since``, or from it on."""

    def __init__(
        self, keys: list[int], size: int, *, descending: bool = False, overlap: bool = False
    ) -> None:
        ordered = sorted(keys, reverse=descending)
        self.rows = [{"id": number, "at": key} for number, key in enumerate(ordered)]
        self.size, self.descending, self.overlap = size, descending, overlap

    def __call__(self, request: ApiRequest) -> Any:
        since = request.params.get("since")
        return {
            "items": [row for row in self.rows if self.is_behind(row["at"], since)][: self.size]
        }

    def is_behind(self, key: int, since: int | None) -> bool:
        if since is None or (self.overlap and key == since):
            return True
        return key < since if self.descending else key > since


def read(api: Offline, paginate: CursorPaginator | KeysetPaginator) -> list[Any]:
    pages = pull(api, first_page, paginate=paginate, records=ITEMS, decode=True)
    return [record["id"] for page in pages for record in page.records]


@given(
    st.lists(st.integers(-50, 50), max_size=30, unique=True),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)
def test_unique_keys_are_read_once_in_either_order(
    keys: list[int], size: int, descending: bool, is_known: bool
) -> None:
    api = Offline(Table(keys, size, descending=descending))
    options = KeysetPaginator(
        key="at",
        param="since",
        order="descending" if descending else "ascending",
        size=size if is_known else None,
    )
    assert read(api, options) == list(range(len(keys)))
    pages = -(-len(keys) // size)
    is_short_page_seen = is_known and len(keys) > size and len(keys) % size > 0
    assert len(api.asked) == pages + (not is_short_page_seen)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 7), st.booleans())
def test_equal_keys_are_read_once_with_overlap_or_fail(
    keys: list[int], size: int, descending: bool
) -> None:
    api = Offline(Table(keys, size, descending=descending, overlap=True))
    options = KeysetPaginator(
        key="at",
        param="since",
        order="descending" if descending else "ascending",
        overlap=True,
        size=size,
        size_param=None,
    )
    most = max((keys.count(key) for key in keys), default=0)
    if most < size:
        assert read(api, options) == list(range(len(keys)))
    else:
        with suppress(PaginationLimit):
            assert read(api, options) == list(range(len(keys)))
    assert len(api.asked) <= len(keys) + 2


def test_a_page_of_the_key_alone_that_is_not_full_is_the_end() -> None:
    api = Offline(Table([1, 2, 3], 2, overlap=True))
    assert read(api, KeysetPaginator(key="at", param="since", overlap=True)) == [0, 1, 2]
    assert [request.params.get("since") for request in api.asked] == [None, 2, 3]


def test_more_records_of_one_key_than_a_page_holds_fail() -> None:
    api = Offline(Table([1, 2, 2, 2, 2], 3, overlap=True))
    with pytest.raises(PaginationLimit) as caught:
        read(api, KeysetPaginator(key="at", param="since", overlap=True))
    assert str(caught.value) == (
        "A full page holds nothing but records with the key 2 at 'at', so that the next ones cannot be asked for at "
        "GET https://api.example.com/rows. Raise size, or take a finer key."
    )


def test_an_api_that_ignores_a_text_key_is_named_as_that() -> None:
    rows = [{"id": number, "at": at} for number, at in enumerate(["b", "C", "a"])]
    api = Offline(lambda _: {"items": rows})
    with pytest.raises(PaginationLimit, match=r"others before it at .* It seems to ignore the key"):
        read(api, KeysetPaginator(key="at", param="since", overlap=True))


def test_equal_records_without_an_id_stay_two() -> None:
    rows = [{"at": 1}, {"at": 2}, {"at": 2}, {"at": 2}, {"at": 3}]

    def route(request: ApiRequest) -> Any:
        since = request.params.get("since", 0)
        return {"items": [row for row in rows if row["at"] >= since][:4]}

    options = KeysetPaginator(key="at", param="since", overlap=True, size=4)
    pages = pull(Offline(route), first_page, paginate=options, records=ITEMS, decode=True)
    assert [record for page in pages for record in page.records] == rows


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([3, 1], "The records are not in ascending order of 'at': 1 comes after 3 at GET"),
        ([3, 3], "Two records in a row have the sort key 3 at 'at'"),
        (
            ["2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00Z"],
            "Two records in a row have the sort key",
        ),
        (["b", "b"], "Two records in a row have the sort key 'b' at 'at'"),
        ([3, "2026-01-01"], "The sort key 'at' is '2026-01-01', after 3 at GET"),
        ([True], "The sort key 'at' is True, not a text or number at GET"),
        ([None], "The field 'at', which paginate.key names, is null in a record"),
        (["2026-01-01T10:00:00+02:00", "2026-01-01T08:30:00Z"], None),
        (["2026-01-01T10:00:00+02:00", "2026-01-01T07:59:59Z"], "not in ascending order"),
        (["9", "10"], None),
        (["zebra", "Apple"], None),  # texts sort differently everywhere
    ],
)
def test_keys_are_compared_by_value(keys: list[Any], message: str | None) -> None:
    api = Offline(lambda request: {"items": [] if request.params.get("s") else _rows(keys)})
    options = KeysetPaginator(key="at", param="s")
    if message is None:
        assert read(api, options) == list(range(len(keys)))
        return
    with pytest.raises(InvalidRecord) as caught:
        read(api, options)
    assert message in str(caught.value)
    assert "at GET https://api.example.com/v3/" in str(caught.value) or "/rows" in str(caught.value)


def test_numbers_that_are_sorted_as_texts_fail_with_a_way_that_reads_them() -> None:
    """As where a database keeps the numbers of customers in a column of texts."""
    keys = sorted(map(str, range(95, 115)))
    api = Offline(Shuffled(keys, 7))
    options = KeysetPaginator(key="at", param="since", size=7)
    found = r"'95' comes after '114' at .* write type: cursor with last_record: at, and total"
    with pytest.raises(InvalidRecord, match=found):
        read(api, options)
    assert read(api, CursorPaginator(last_record="at", param="since")) == keys
    with pytest.raises(InvalidRecord, match=r"'10' comes after '1009' at .* Sort the request by"):
        read(Offline(lambda _: {"items": _rows(["1009", "10"])}), options)


def _rows(keys: list[Any]) -> list[Any]:
    return [{"id": number, "at": key} for number, key in enumerate(keys)]


def test_a_page_that_begins_before_the_last_key_fails() -> None:
    pages = iter([_rows([1, 2]), _rows([2])])
    with pytest.raises(InvalidRecord, match="Two records in a row have the sort key 2"):
        read(Offline(lambda _: {"items": next(pages)}), KeysetPaginator(key="at", param="s"))


def test_an_api_that_ignores_the_key_is_a_failure_not_a_loop() -> None:
    api = Offline(lambda _: {"items": _rows([1, 2])})
    with pytest.raises(InvalidRecord, match="1 comes after 2"):
        read(api, KeysetPaginator(key="at", param="s"))
    assert len(api.asked) == 2


def test_sessions_read_by_key_alike_and_stop_at_the_total() -> None:
    def route(asked: Asked) -> Any:
        since = int(asked.headers.get("X-Since", 0))
        rows = [{"id": number} for number in range(1, 7) if number > since]
        return {"items": rows[:2], "total": 6}

    paginate = KeysetPaginator(
        key="id", param="X-Since", send_in="header", total=TotalRows(path="total")
    )
    records, asked = read_by_both(route, records="items", paginate=paginate)
    assert [record["id"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert len(asked) == 3


def test_sessions_drop_the_records_of_the_last_key_when_they_come_again() -> None:
    rows = [{"id": number, "at": key} for number, key in enumerate([1, 2, 2, 2, 3, 3, 4])]

    def route(asked: Asked) -> Any:
        since = int(asked.query.get("since", 0))
        return {"items": [row for row in rows if row["at"] >= since][:4]}

    paginate = KeysetPaginator(key="at", param="since", overlap=True, size=4)
    records, asked = read_by_both(route, records="items", paginate=paginate)
    assert records == rows
    assert [each.query.get("since") for each in asked] == [None, "2", "3"]


class Shuffled:
    """An API that lists its rows in the order of their arrival, and answers with those whose text key is behind ``since``."""

    def __init__(self, keys: list[str], size: int, *, overlap: bool = False) -> None:
        self.keys, self.size, self.overlap = keys, size, overlap

    def __call__(self, request: ApiRequest) -> Any:
        since = request.params.get("since", "")
        behind = [key for key in self.keys if key > since or (self.overlap and key == since)]
        return {"items": [{"id": key, "at": key} for key in behind[: self.size]]}


def test_texts_that_are_listed_in_another_order_than_their_own_fail() -> None:
    # Behind "m" come "t" of page one and "x"; "d" is lost.
    api = Offline(Shuffled(["c", "t", "m", "x", "d"], 3))
    with pytest.raises(InvalidRecord) as caught:
        read(api, KeysetPaginator(key="at", param="since", size=3))
    assert str(caught.value) == (
        "The key 't' at 'at' was on page 1 and came again on page 2, which was asked for behind 'm': the records are not sorted by it at "
        "GET https://api.example.com/rows. Sort the request by that field, ascending; without it records would be left out silently."
    )


def test_texts_that_come_again_from_the_last_key_on_are_a_warning() -> None:
    # A database may take "A" and "a" for equal, so that both come again by right.
    api = Offline(Shuffled(["c", "t", "m", "x", "d"], 3, overlap=True))
    options = KeysetPaginator(key="at", param="since", size=3, overlap=True)
    warnings: list[str] = []
    pages = pull(api, first_page, paginate=options, records=ITEMS, warn=warnings.append)
    assert sum(len(page.records) for page in pages) > len("ctm")
    assert [text.partition(", which")[0] for text in warnings] == [
        "The key 't' at 'at' was on page 1 and came again on page 2"
    ]


@given(
    st.lists(st.text("abAB-", min_size=1, max_size=4), max_size=30, unique=True), st.integers(1, 7)
)
def test_texts_in_their_order_are_read_once(keys: list[str], size: int) -> None:
    api = Offline(Shuffled(sorted(keys), size))
    found = read(api, KeysetPaginator(key="at", param="since", size=size))
    assert found == sorted(keys)
