"""Ends whose page says that more follow: a sign that paginate stops too early."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    SinglePage,
)
from oauth_taskflow.api.paginators.cursor import LastRecord
from oauth_taskflow.api.pull.loop import pull
from tests.api.pull.offline import Offline, first_page
from tests.api.pull.styles import custom

ROWS = [{"id": number} for number in range(6)]
PAGE = PageNumberPaginator(size=2)


def find_warnings(paginate: Paginate, *pages: tuple[int, Any]) -> list[str]:
    """Returns the warnings of a pull of pages, each a number of rows and what else is in it; ``Link`` goes into a header."""
    answers, warnings, start = [], list[str](), 0
    for count, more in pages:
        headers = {"Link": more["Link"]} if "Link" in more else {}
        answers.append(({"items": ROWS[start : start + count], **more}, headers))
        start += count
    answer = iter([*answers, {"items": []}])
    options: dict[str, Any] = {"paginate": paginate, "records": Records(path="items")}
    list(pull(Offline(lambda _: next(answer)), first_page, warn=warnings.append, **options))
    return warnings


def test_an_end_whose_page_says_that_more_follow_gives_a_warning() -> None:
    """A page came with a row less, because the API leaves out what the user may not see."""
    assert find_warnings(PAGE, (2, {"has_more": True}), (1, {"has_more": True})) == [
        "Reading ends at page 2, and its answer says that more pages follow (has_more) at GET https://api.example.com/rows. If it "
        "is right, records are missing from this output: correct paginate, or write more."
    ]


LINK = {"Link": "</rows?page=3>; rel=next"}


@pytest.mark.parametrize(
    ("paginate", "last", "sign"),
    [
        (PAGE, LINK, "a Link header with rel=next"),
        (PAGE, {"truncated": True}, "truncated"),
        (OffsetPaginator(size=2), {"IsTruncated": True}, "IsTruncated"),
        (OffsetPaginator(size=2), {"links": {"next": "/rows?page=3"}}, "links.next"),
        (KeysetPaginator(key="id", param="after", size=2), {"next_page": 3}, "next_page"),
        (PageNumberPaginator(total_pages="pages"), {"pages": 2, "hasMore": True}, "hasMore"),
        (CursorPaginator(next="nxt", param="after"), {"next_cursor": "c"}, "next_cursor"),
        (CursorPaginator(header="X-Nxt", param="after"), LINK, "a Link header with rel=next"),
        (NextUrlPaginator(next="nextt"), {"next": "/rows?page=3"}, "next"),
        (LinkHeaderPaginator(), {"nextPageToken": "c"}, "nextPageToken"),
    ],
)
def test_the_sign_is_named(paginate: Paginate, last: Any, sign: str) -> None:
    pages = [(2, {"nxt": "a", "nextt": "?page=2", "pages": 2}), (1, last)]
    if paginate.ends_by == "pointer":
        pages = pages[1:]
    (warning,) = find_warnings(paginate, *pages)
    assert f"says that more pages follow ({sign}) at GET" in warning


def test_a_total_of_the_first_page_alone_is_found_by_its_next_link() -> None:
    paginate = PageNumberPaginator(size=100, total="count")
    (warning,) = find_warnings(paginate, (2, {"count": 2, "links": {"next": "/rows?page=2"}}))
    assert warning.startswith("Reading ends at page 1, and its answer says that more pages follow")


@pytest.mark.parametrize(
    ("paginate", "last"),
    [
        (PAGE, {}),
        (PAGE, {"has_more": False, "next_cursor": None, "links": {"next": None}}),
        (PageNumberPaginator(size=2, total="total"), {"total": 3, "next_page": 3}),
        (PageNumberPaginator(size=2, last="end"), {"end": True, "next_page": 3}),
        (OffsetPaginator(size=2, more="more"), {"more": False, "next_page": 3}),
        (CursorPaginator(next="next_cursor", param="a", end_values=("-1",)), {"next_cursor": "-1"}),
        (
            LinkHeaderPaginator(require={"results": "true"}),
            {"Link": '</rows?c=1>; rel=next; results="false"'},
        ),
        (SinglePage(), LINK),
        (custom(), LINK),
    ],
)
def test_an_end_that_the_api_or_the_author_says_gives_none(paginate: Paginate, last: Any) -> None:
    first = {"total": 3, "end": False, "more": True}
    pages = [(2, first), (1, last)] if paginate.ends_by == "count" else [(1, last)]
    assert find_warnings(paginate, *pages) == []


@pytest.mark.parametrize(
    "paginate",
    [
        PageNumberPaginator(),
        CursorPaginator(next="next", param="after", empty_page="end"),
        CursorPaginator(last_record=LastRecord(path="id"), param="after"),
    ],
)
def test_an_empty_page_is_the_end_whatever_it_says(paginate: Paginate) -> None:
    assert find_warnings(paginate, (2, {"next": "a"}), (0, {"next": "/rows?page=9"})) == []
