"""Servers that answer numbers behind the last page with that page again: the end where it says so itself, else a loop."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.api.options import (
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    TotalRows,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.marks import Marks
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import PagesCutShort, PaginationLoop
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import Offline, first_page
from tests.api.scripted import Asked, Sources, scripted

ITEMS = Records(path="items")
SIZE = 4
BARE = PageNumberPaginator(size=SIZE, size_param="per_page")
BY_NULL = {"next": None}


class Clamped:
    """``count`` rows in pages of four; ``last`` is what the last page says next to them, ``others`` what the others say."""

    def __init__(
        self, count: int, last: Any = None, others: Any = None, headers: Any = None
    ) -> None:
        self.rows = [{"id": number} for number in range(count)]
        self.last, self.others, self.headers = last or {}, others or {}, headers or {}

    def __call__(self, request: ApiRequest) -> Any:
        return self.answer(
            int(request.params.get("page", 1 + request.params.get("offset", 0) // SIZE))
        )

    def answer(self, page: int) -> tuple[Any, Any]:
        pages = -(-len(self.rows) // SIZE)
        page = min(page, pages)
        said = self.last if page == pages else self.others
        body = {"page": page, "items": self.rows[SIZE * (page - 1) : SIZE * page], **said}
        return body, self.headers if page == pages else {}


def read(api: Clamped, paginate: Paginate = BARE) -> tuple[list[int], list[str], int]:
    """The ids, the warnings and the number of requests."""
    offline, warned = Offline(api), list[str]()
    options: dict[str, Any] = {"paginate": paginate, "records": ITEMS, "decode": True, "ahead": 0}
    pages = pull(offline, first_page, warn=warned.append, **options)
    return [row["id"] for page in pages for row in page.records], warned, len(offline.asked)


ENDS: dict[str, tuple[Any, Any]] = {
    "json-server": ({"next": None, "last": 1, "pages": 1}, {}),
    "null": (BY_NULL, {}),
    "empty text": ({"meta": {"next_cursor": ""}}, {}),
    "empty link": ({"links": {"next": {"href": None}}}, {}),
    "flag": ({"has_more": False}, {}),
    "total": ({"total_count": 4}, {}),
    "vague total": ({"total": 4}, {}),
    "page count": ({"meta": {"totalPages": 1}}, {}),
    "GitLab": ({}, {"X-Next-Page": ""}),
    "total in a header": ({}, {"X-Total-Count": "4"}),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("paginate", [BARE, OffsetPaginator(size=SIZE), PageNumberPaginator()])
def test_a_page_that_named_its_end_and_comes_again_is_dropped(
    paginate: Paginate, name: str
) -> None:
    said, headers = ENDS[name]
    assert read(Clamped(4, said, headers=headers), paginate) == ([0, 1, 2, 3], [], 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_short_only_page_that_comes_again_is_dropped_too(count: int) -> None:
    """Without a full first page nothing shows that the server honours the size, so a second page is asked for."""
    assert read(Clamped(count, BY_NULL)) == (list(range(count)), [], 2)


def test_a_lone_record_comes_again_beside_the_number_of_the_page() -> None:
    api = Clamped(1, BY_NULL)
    counting = iter(range(1, 10))
    body, _ = api.answer(1)
    offline = Offline(lambda _: {**body, "page": next(counting)})
    assert [page.count for page in pull(offline, first_page, paginate=BARE, records=ITEMS)] == [1]


def test_the_last_of_several_pages_comes_again() -> None:
    said = {"next": None, "pages": 3, "total_count": 12}
    others = {"next": 2, "pages": 3, "total_count": 12}
    assert read(Clamped(12, said, others)) == (list(range(12)), [], 4)


TWO_PAGES = Clamped(8, BY_NULL, {"next": "/rows?page=2"})


def answer_two_pages(asked: Asked) -> Any:
    return TWO_PAGES.answer(int(asked.query["page"]))[0]


def test_both_sessions_end_there() -> None:
    records, _ = read_by_both(answer_two_pages, records="items", paginate=BARE)
    assert records == TWO_PAGES.rows


def test_pages_that_are_asked_for_at_once_end_there() -> None:
    """How many pages behind the end are asked for depends on when the answers come."""
    paginate = PageNumberPaginator(size=SIZE, size_param="per_page", prefetch=3)
    with scripted(answer_two_pages) as api, OAuthSession(api.url, Sources()) as session:
        records = list(session.paginate("/rows", records="items", paginate=paginate))
    assert records == TWO_PAGES.rows


LOOPS: dict[str, tuple[Any, Any]] = {
    "nothing": ({}, {}),
    "a pointer that leads on": ({"next_cursor": "abc"}, {}),
    "a pointer of an unknown kind": ({"next": "abc"}, {}),
    "an empty pointer beside one that is not": ({"next": None, "next_page": "abc"}, {}),
    "an empty pointer and more rows": ({"next": None, "total_count": 1237}, {}),
    "an empty pointer and more rows in a header": (BY_NULL, {"X-Total-Count": "1237"}),
    "an empty pointer and more pages": ({"next": None, "pages": 13}, {}),
    "an empty pointer and a later last page": ({"next": None, "last_page": 13}, {}),
    "an empty pointer and a Link header": (BY_NULL, {"Link": "</rows?page=2>; rel=next"}),
    "a flag of more": ({"has_more": True}, {}),
    "a count that may be of the page": ({"count": 4}, {}),
    "the number of a last page that may count from 0": ({"last_page": 1}, {}),
    "links to first and last alone": ({}, {"Link": "</rows>; rel=first, </rows>; rel=last"}),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("paginate", [PageNumberPaginator(), OffsetPaginator()])
def test_without_such_a_word_the_same_page_again_is_a_loop(paginate: Paginate, name: str) -> None:
    said, headers = LOOPS[name]
    with pytest.raises(PaginationLoop, match="Page 2 holds exactly what page 1 held"):
        read(Clamped(4, said, headers=headers), paginate)


def test_the_flag_that_the_author_names_decides() -> None:
    with pytest.raises(PaginationLoop):
        read(Clamped(4, {"on": True, "next": None}), PageNumberPaginator(more="on"))


def test_an_estimate_that_is_reached_is_no_word() -> None:
    estimate = PageNumberPaginator(total=TotalRows(path="estimate", approximate=True))
    with pytest.raises(PaginationLoop):
        read(Clamped(4, {"estimate": 4}), estimate)


def test_a_page_count_that_the_author_names_still_denies_the_end() -> None:
    api = Clamped(4, {"parts": 3, "next": None})
    with pytest.raises(PagesCutShort, match="announced 3 pages and 1 came"):
        read(api, PageNumberPaginator(total_pages="parts"))


def test_another_page_after_one_that_named_the_end_is_read() -> None:
    """New rows behind a page are not left out, for anything that it says."""
    api = Clamped(12, BY_NULL, BY_NULL)
    assert read(api) == (list(range(12)), [], 4)


def test_a_page_that_comes_again_after_a_cut_is_known_again() -> None:
    api = Clamped(8, BY_NULL, {"next": "/rows?page=2"})
    options: dict[str, Any] = {"paginate": BARE, "records": ITEMS, "decode": True, "ahead": 0}
    marks = Marks()
    for page in islice(pull(Offline(api), first_page, **options), 2):
        assert page.mark is not None
        marks.add(page.mark)
    state = marks.state()
    assert state is not None
    state.request = decode(encode(state.request))
    offline = Offline(api)
    assert list(pull(offline, first_page, resume=state, **options)) == []
    assert [asked.params["page"] for asked in offline.asked] == [3]


class Deaf:
    """Answers each request with the same ``rows``, because it does not know the paging parameter, and ``said`` next to them."""

    def __init__(self, rows: int, said: Any) -> None:
        self.body = {"items": [{"id": number} for number in range(rows)], **said}

    def __call__(self, request: ApiRequest) -> Any:
        return self.body, {}


@pytest.mark.parametrize(
    ("rows", "said", "size", "warns"),
    [
        (50, BY_NULL, 50, True),
        (50, BY_NULL, None, True),
        (50, {"next": None, "has_more": False}, 50, False),
        (50, {"next": None, "pages": 1}, 50, False),
        (50, {"next": None, "total_count": 50}, 50, False),
        (49, BY_NULL, 50, False),
        (7, BY_NULL, None, False),
    ],
)
def test_a_full_page_that_alone_names_its_end_by_an_empty_pointer_is_a_warning(
    rows: int, said: Any, size: int | None, warns: bool
) -> None:
    """The API may never fill that pointer, and ignore a misspelled parameter."""
    paginate = PageNumberPaginator(size=size, short_page="continue")
    offline, warned = Offline(Deaf(rows, said)), list[str]()
    options: dict[str, Any] = {"paginate": paginate, "records": ITEMS, "decode": True, "ahead": 0}
    pages = list(pull(offline, first_page, warn=warned.append, **options))
    assert [len(page.records) for page in pages] == [rows]
    assert [text.startswith("Page 2 held exactly what page 1 held") for text in warned] == (
        [True] if warns else []
    )
