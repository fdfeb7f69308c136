"""Caps of an API: whatever the data, each record comes once, nothing behind a cap is asked for, and no request is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import (
    CursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    RowCap,
    SinglePage,
)
from oauth_taskflow.api.pull.caps.past_cap import pull_past_cap
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import CapReached, InvalidRecord, PaginationLimit, SpecError
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import Offline, first_page
from tests.api.scripted import Asked, Reply

ITEMS = Records(path="items")
CAP = RowCap(rows=10, then="from_last_record", field="at", param="since")
keys = st.lists(st.integers(0, 12), max_size=60)
sizes = st.integers(1, 5)


class CappedTable:
    """An API that sorts its rows by ``at``, and shows at most ``cap`` of those from ``since`` on.

    Behind the cap it refuses, or ends without a word. ``exclusive`` bounds leave the rows of ``since`` out.
    """

    def __init__(
        self,
        ats: list[int],
        cap: int = 10,
        *,
        total: str = "none",
        silent: bool = False,
        exclusive: bool = False,
    ) -> None:
        self.rows = [{"id": number, "at": at} for number, at in enumerate(sorted(ats))]
        self.cap, self.total, self.silent, self.exclusive = cap, total, silent, exclusive
        self.behind = 0

    def __call__(self, request: ApiRequest) -> Any:
        params = request.params
        since = params.get("since", -1)
        found = [
            row
            for row in self.rows
            if row["at"] > since or (row["at"] == since and not self.exclusive)
        ]
        size = params.get("limit") or 5
        start = params.get("offset", params.get("page", 0) * size)
        if start + size > max(self.cap, size):
            self.behind += 1
        page = found[start : min(start + size, self.cap)]
        body: dict[str, Any] = {"items": page}
        if self.total != "none":
            body["total"] = len(found) if self.total == "exact" else min(len(found), self.cap)
        return body


def read(api: Offline, paginate: Paginate) -> list[int]:
    pages = pull_past_cap(api, first_page, paginate=paginate, records=ITEMS, decode=True)
    return [record["id"] for page in pages for record in page.records]


def can_be_read(ats: list[int], size: int) -> bool:
    """Whether no value has as many rows as whole pages below the cap hold."""
    readable = 10 - 10 % size
    return max((ats.count(at) for at in ats), default=0) < readable


@given(
    keys, sizes, st.sampled_from(["none", "exact", "capped"]), st.sampled_from(["offset", "page"])
)
def test_each_record_comes_once_and_nothing_behind_the_cap_is_asked_for(
    ats: list[int], size: int, total: str, style: str
) -> None:
    table = CappedTable(ats, total=total)
    api = Offline(table)
    options: dict[str, Any] = {
        "size": size,
        "size_param": "limit",
        "total": None if total == "none" else "total",
        "cap": CAP,
    }
    paginate = (
        OffsetPaginator(**options) if style == "offset" else PageNumberPaginator(start=0, **options)
    )
    if can_be_read(ats, size):
        assert read(api, paginate) == list(range(len(ats)))
    else:
        try:
            assert read(api, paginate) == list(range(len(ats)))
        except PaginationLimit as error:
            assert "rows that the API shows of one request have at" in str(error)  # noqa: PT017 - either is right
    assert table.behind == 0
    # At worst each sequence brings one new value, in as many pages as the cap has.
    assert len(api.asked) <= (len(set(ats)) + 2) * (10 // size + 1)


@given(st.integers(0, 60), sizes)
def test_unique_values_cost_no_needless_request(count: int, size: int) -> None:
    api = Offline(CappedTable(list(range(count)), total="exact"))
    paginate = OffsetPaginator(size=size, total="total", cap=CAP)
    assert read(api, paginate) == list(range(count))
    readable = 10 - 10 % size
    left, needed = count, 0
    while True:
        shown = min(left, readable)
        needed += max(1, -(-shown // size))
        if shown < readable or shown == left < 10:
            break
        left -= readable - 1  # the last record comes again
    assert len(api.asked) == needed


@given(keys, sizes, st.integers(1, 3))
def test_pages_fetched_at_once_stay_below_the_cap(ats: list[int], size: int, prefetch: int) -> None:
    table = CappedTable(ats, total="exact")
    paginate = OffsetPaginator(size=size, advance="size", prefetch=prefetch, total="total", cap=CAP)
    if can_be_read(ats, size):
        assert sorted(read(Offline(table), paginate)) == list(range(len(ats)))
        assert table.behind == 0


def test_a_cap_that_ends_the_pages_without_a_word_is_noticed() -> None:
    table = CappedTable(list(range(25)))

    def route(request: ApiRequest) -> Any:
        page = table(ApiRequest("/", params={**request.params, "limit": 5}))
        end = request.params.get("offset", 0) + 5
        return {**page, "next": end if end < 10 and len(page["items"]) == 5 else None}

    paginate = CursorPaginator(next="next", param="offset", cap=CAP)
    assert read(Offline(route), paginate) == list(range(25))


@pytest.mark.parametrize("style", ["cursor", "page"])
def test_an_api_that_leaves_out_single_rows_loses_none_behind_its_cap(style: str) -> None:
    rows = [{"id": number, "at": number} for number in range(60)]

    def route(request: ApiRequest) -> Any:
        params = request.params
        start = int(params.get("next", params.get("page", 0) * 5))
        found = [row for row in rows if row["at"] >= params.get("since", 0)]
        page = [row for row in found[start : min(start + 5, 20)] if row["id"] % 7 != 3]
        more = start + 5 < min(len(found), 20)
        return {"items": page, **({"next": start + 5} if more else {})}

    cap = RowCap(rows=20, then="from_last_record", field="at", param="since")
    paginate: Paginate = (
        CursorPaginator(next="next", param="next", size=5, cap=cap)
        if style == "cursor"
        else PageNumberPaginator(start=0, size=5, short_page="continue", cap=cap)
    )
    assert read(Offline(route), paginate) == [n for n in range(60) if n % 7 != 3]


def test_an_api_without_pages_is_read_on_from_its_last_record() -> None:
    table = CappedTable(list(range(25)))

    def route(request: ApiRequest) -> Any:
        return table(ApiRequest("/", params={**request.params, "limit": 10}))

    api = Offline(route)
    assert read(api, SinglePage(cap=CAP)) == list(range(25))
    assert [request.params.get("since") for request in api.asked] == [None, 9, 18]


def test_a_bound_that_leaves_its_own_value_out_fails_instead_of_losing_equal_values() -> None:
    ats = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 10]
    with pytest.raises(InvalidRecord) as caught:
        read(Offline(CappedTable(ats, exclusive=True)), OffsetPaginator(size=5, cap=CAP))
    assert str(caught.value).startswith(
        "Asked for records from at = 9 on, the API left out the one with that value at "
    )
    assert caught.value.retryable
    with pytest.raises(InvalidRecord, match="the API left out the one with that value"):
        read(
            Offline(CappedTable(list(range(10)), exclusive=True)), OffsetPaginator(size=5, cap=CAP)
        )


def test_records_that_are_not_sorted_fail() -> None:
    rows = [{"id": number, "at": -number} for number in range(30)]

    def route(request: ApiRequest) -> Any:
        return {"items": rows[request.params["offset"] :][:5]}

    with pytest.raises(InvalidRecord, match="The records are not in ascending order of 'at'"):
        read(Offline(route), OffsetPaginator(size=5, cap=CAP))


def test_a_record_without_the_value_fails() -> None:
    with pytest.raises(InvalidRecord, match=r"no field 'at', which paginate\.cap\.field names"):
        read(Offline(lambda _: {"items": [{"id": 1}]}), OffsetPaginator(size=5, cap=CAP))


def test_an_api_that_ignores_the_restart_fails_and_does_not_loop() -> None:
    rows = [{"id": number, "at": number} for number in range(30)]
    api = Offline(lambda request: {"items": rows[request.params["offset"] :][:5]})
    with pytest.raises((InvalidRecord, PaginationLimit)):
        read(api, OffsetPaginator(size=5, cap=CAP))
    assert len(api.asked) <= 4


def test_as_many_equal_values_as_the_cap_fail_in_words() -> None:
    with pytest.raises(PaginationLimit) as caught:
        read(Offline(CappedTable([1] * 12)), OffsetPaginator(size=5, cap=CAP))
    assert str(caught.value) == (
        "All 10 rows that the API shows of one request have at = 1, so that the next ones cannot be asked for. "
        "Narrow the request by another parameter, for example with for_each, or write a finer format."
    )


def test_hard_stops_count_all_sequences() -> None:
    api = Offline(CappedTable(list(range(40))))
    with pytest.raises(
        PaginationLimit, match="More than max_records = 25 records, restarts at the cap"
    ):
        read(api, OffsetPaginator(size=5, cap=CAP, max_records=25))
    with pytest.raises(PaginationLimit, match="More than max_pages = 4 pages"):
        read(api, OffsetPaginator(size=5, cap=CAP, max_pages=4))


def test_a_session_has_no_window_to_narrow_and_says_so() -> None:
    narrow = RowCap(rows=10, then="narrow")
    with pytest.raises(CapReached) as caught:
        read(Offline(CappedTable(list(range(25)))), OffsetPaginator(size=5, cap=narrow))
    assert "The API shows 10 rows of one request, and has more of this one" in str(caught.value)
    bare = RowCap(rows=10, then="from_last_record")
    with pytest.raises(SpecError, match="from_last_record needs field and param"):
        read(Offline(CappedTable([])), OffsetPaginator(size=5, cap=bare))
    with pytest.raises(SpecError, match="a page of 8 rows leaves no room"):
        read(Offline(CappedTable([])), OffsetPaginator(size=8, cap=CAP))


def test_rows_without_a_record_say_nothing_of_the_next_ones() -> None:
    api, page = Offline(CappedTable(list(range(25)))), OffsetPaginator(size=5, cap=CAP)
    none = Records(path="items[?at > `99`]")
    with pytest.raises(PaginationLimit, match="none of them is a record from whose 'at'"):
        list(pull_past_cap(api, first_page, paginate=page, records=none, decode=True))


@pytest.mark.parametrize(
    ("place", "method"), [("query", "GET"), ("body", "POST"), ("header", "GET")]
)
def test_sessions_read_past_the_cap_alike(place: Any, method: str) -> None:
    table = CappedTable([0, 1, 1, 2, 3, 5, 5, 5, 6, 7, 8, 8, 9, 9, 9, 10, 11, 12])

    def route(asked: Asked) -> Any:
        body = asked.json if asked.body else {}
        since = (
            asked.query.get("since")
            or body.get("filter", {}).get("since")
            or asked.headers.get("X-Since")
        )
        start = int(asked.query.get("offset", body.get("offset", 0)))
        if start >= 10:
            return Reply({"error": "too deep"}, 400)
        params = {"offset": start, "limit": 5, **({} if since is None else {"since": int(since)})}
        return table(ApiRequest("/", params=params))

    name = {"query": "since", "body": "filter.since", "header": "X-Since"}[place]
    cap = RowCap(rows=10, then="from_last_record", field="at", param=name, send_in=place)
    options = {"method": method, **({"json": {"filter": {"team": 1}}} if method == "POST" else {})}
    paginate = OffsetPaginator(size=5, cap=cap, send_in="body" if method == "POST" else "query")
    records, asked = read_by_both(route, records="items", paginate=paginate, **options)
    assert records == table.rows
    assert len(asked) == 4
