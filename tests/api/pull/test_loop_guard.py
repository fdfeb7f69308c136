"""Page sequences that would never end, and those that only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    TotalRows,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PagesCutShort, PaginationLoop
from tests.api.pull.offline import Offline, first_page

ITEMS = Records(path="items")
CURSOR = CursorPaginator(next="next", param="after")


def read(api: Offline, paginate: Paginate) -> list[Any]:
    pages = pull(api, first_page, paginate=paginate, records=ITEMS, decode=True)
    return [record for page in pages for record in page.records]


def fresh(rows: Any, last: int = 10_000) -> Offline:
    """Fresh cursors and next URLs, page after page, over ``rows(page)``."""
    state = {"page": 0}

    def api(_: ApiRequest) -> Any:
        state["page"] += 1
        page = state["page"]
        more = {"next": f"c{page}", "url": f"?c={page}"} if page < last else {}
        headers = {"Link": f"<?c={page}>; rel=next"} if page < last else {}
        return {"items": rows(page), **more}, headers

    return Offline(api)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("paginate", [CURSOR, NextUrlPaginator(next="url")])
def test_new_pointers_to_the_same_rows_are_a_loop(paginate: Paginate, rows: int) -> None:
    api = fresh(lambda _: [{"id": number} for number in range(rows)])
    with pytest.raises(PaginationLoop, match="Pages 2 to 4 hold nothing but records of earlier"):
        read(api, paginate)
    assert len(api.asked) <= 6  # the one ahead included


def test_pages_that_alternate_are_a_loop() -> None:
    with pytest.raises(PaginationLoop, match="Pages 5 to 7"):
        read(fresh(lambda page: [{"id": page % 3}, {"n": 0}]), CURSOR)


def test_overlapping_pages_and_two_repeats_are_fine() -> None:
    api = fresh(lambda page: [{"id": page}, {"id": page + 1}], last=50)
    assert len(read(api, CURSOR)) == 100
    twice = fresh(lambda page: [{"id": page // 3}, {"n": 0}], last=30)
    assert len(read(twice, CURSOR)) == 60


@pytest.mark.no_cover
@pytest.mark.slow
def test_long_runs_of_empty_pages_end_at_the_limit() -> None:
    full = [{"id": 1}]
    assert read(fresh(lambda page: full if page == 900 else [], last=900), CURSOR) == full
    assert read(fresh(lambda page: [{"id": page}] if page % 500 == 0 else [], last=1100), CURSOR)
    with pytest.raises(PaginationLoop, match=r"1001 empty pages .* raise max_empty_pages"):
        read(fresh(lambda _: []), CURSOR)


def test_the_limit_of_empty_pages_is_an_option() -> None:
    few = CursorPaginator(next="next", param="after", max_empty_pages=2)
    assert read(fresh(lambda page: [] if page % 3 else [{"id": page}], last=9), few)
    with pytest.raises(PaginationLoop, match="3 empty pages"):
        read(fresh(lambda _: []), few)


@pytest.mark.parametrize(
    "paginate",
    [
        PageNumberPaginator(more="more"),
        PageNumberPaginator(more="more", prefetch=3),
        PageNumberPaginator(total_pages="pages"),
        OffsetPaginator(more="more", size=2, advance="size"),
    ],
)
def test_a_flag_that_says_more_over_empty_pages_ends_after_a_few(paginate: Paginate) -> None:
    api = Offline(lambda _: {"items": [], "more": True, "pages": 100_000})
    with pytest.raises(PaginationLoop, match="4 empty pages"):
        read(api, paginate)
    assert len(api.asked) <= 8


def test_an_empty_page_that_leads_to_itself_names_the_key_to_write() -> None:
    """Some APIs end with an empty page and the page cursor that asked for it."""

    def stays(asked: ApiRequest) -> Any:
        after = asked.params.get("after")
        return {"items": [] if after == "b" else [{"id": after}], "next": "b" if after else "a"}

    with pytest.raises(PaginationLoop, match=r"write empty_page: end\."):
        read(Offline(stays), CURSOR)
    ending = CursorPaginator(next="next", param="after", empty_page="end")
    assert len(read(Offline(stays), ending)) == 2


def scroll(total: Any, *, size: int = 2, rows: int = 5, shared: int = 0) -> Offline:
    """A server that keeps its place itself, behind one cursor for all pages; each page begins with ``shared`` rows of the last."""
    state = {"start": 0}

    def api(asked: ApiRequest) -> Any:
        assert asked.params.get("after", "s") == "s"
        start = state["start"]
        state["start"] = start + size - shared
        items = [{"id": number} for number in range(start, min(start + size, rows))]
        return {"items": items, "next": "s", **({} if total is None else {"total": total})}

    return Offline(api)


SCROLL = CursorPaginator(next="next", param="after", empty_page="end", total="total")


def test_a_cursor_that_stays_the_same_is_no_loop_while_the_pages_differ() -> None:
    assert [row["id"] for row in read(scroll(5), SCROLL)] == [0, 1, 2, 3, 4]
    assert len(read(scroll(50, size=1, rows=50), SCROLL)) == 50


def test_a_cursor_that_stays_the_same_needs_an_exact_total() -> None:
    without = CursorPaginator(next="next", param="after", empty_page="end")
    estimated = CursorPaginator(
        next="next",
        param="after",
        empty_page="end",
        total=TotalRows(path="total", approximate=True),
    )
    at_least = CursorPaginator(next="next", param="after", empty_page="end", total="total.value")
    for api, paginate in (
        (scroll(5), without),
        (scroll(5), estimated),
        (scroll(None), SCROLL),
        (scroll({"value": 5, "relation": "gte"}), at_least),
    ):
        with pytest.raises(PaginationLoop, match=r"Page 2 leads back .* name the exact number"):
            read(api, paginate)


def test_a_cursor_that_stays_the_same_with_a_row_of_the_page_before_is_a_loop() -> None:
    with pytest.raises(PaginationLoop, match=r"Page 2 leads back .* repeats a page cursor"):
        read(scroll(50, size=3, rows=50, shared=1), SCROLL)


def test_a_cursor_that_points_to_its_own_page_is_a_loop() -> None:
    def api(asked: ApiRequest) -> Any:
        first = 0 if "after" not in asked.params else 2
        return {"items": [{"id": first}, {"id": first + 1}], "next": "s", "total": 9}

    with pytest.raises(PaginationLoop, match="Page 3 leads back"):
        read(Offline(api), SCROLL)


def test_a_page_that_is_lost_behind_one_cursor_fails_by_the_total() -> None:
    api = scroll(9, rows=9)
    answer, asked = api.api, iter(range(9))

    def lossy(request: ApiRequest) -> Any:
        if next(asked) == 2:
            answer(request)
        return answer(request)

    with pytest.raises(PagesCutShort, match="after 7 records, but the API announced 9"):
        read(Offline(lossy), SCROLL)
