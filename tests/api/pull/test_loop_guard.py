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
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PaginationLoop
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
