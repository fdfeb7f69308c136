"""Numbered pages that say themselves that they are not the ones that were asked for."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import Offline, first_page, read_warnings

PAGE = PageNumberPaginator(size=2)
ROWS = [{"id": number} for number in range(20)]
NO_LINK: dict[str, str] = {}


def warnings_of_page_one(
    body: dict[str, Any], headers: dict[str, str] = NO_LINK, paginate: Paginate | None = PAGE
) -> list[str]:
    return read_warnings(paginate, "items", ({"items": ROWS[:1], **body}, headers), {"items": []})


@pytest.mark.parametrize(
    ("body", "headers", "sign"),
    [
        ({"first": False, "last": True, "number": 1}, {}, "first"),  # Spring's slices
        ({"meta": {"hasPrevPage": True}}, {}, "meta.hasPrevPage"),
        ({"has_previous_page": True}, {}, "has_previous_page"),
        ({"previous": "https://api.example.com/rows?offset=0"}, {}, "previous"),
        ({"links": {"prev": {"href": "/rows?page=0"}}}, {}, "links.prev"),
        ({"link": [{"relation": "previous", "url": "/rows?page=0"}]}, {}, "link"),
        ({"pagination": {"prev_page": 1}}, {}, "pagination.prev_page"),
        ({}, {"Link": "</rows?page=0>; rel=prev"}, "a Link header with rel=prev"),
        ({}, {"X-Prev-Page": "1"}, "X-Prev-Page"),
    ],
)
def test_a_first_page_that_names_a_page_before_it_is_a_warning(
    body: dict[str, Any], headers: dict[str, str], sign: str
) -> None:
    wanted = [
        f"Page 1 says that a page comes before it ({sign}) at GET https://api.example.com/rows. If it is right, records are missing from "
        "this output: correct start in paginate, and the parameters of the request."
    ]
    assert warnings_of_page_one(body, headers) == wanted
    assert warnings_of_page_one(body, headers, OffsetPaginator(size=2)) == wanted
    # Behind a cursor or key, what is before may have been read, or is newer.
    cursor = CursorPaginator(next="after", param="after")
    assert warnings_of_page_one({"after": None, **body}, headers, cursor) == []
    keyset = KeysetPaginator(key="id", param="since")
    assert warnings_of_page_one(body, headers, keyset) == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"first": True, "last": True}, {}),
        ({"first": "Ada", "previous": "Lovelace"}, {}),
        ({"hasPrevPage": False, "prevPage": None}, {}),
        ({"previous": None, "links": {"prev": ""}}, {}),
        ({"links": [{"rel": ["prev"], "href": "/rows"}, {"rel": "prev", "href": None}]}, {}),
        ({"prev_page": 0}, {}),
        ({}, {"X-Prev-Page": "", "Link": "</rows?page=2>; rel=last"}),
    ],
)
def test_a_first_page_without_one_before_is_none(
    body: dict[str, Any], headers: dict[str, str]
) -> None:
    assert warnings_of_page_one(body, headers) == []


class Numbered:
    """Pages that call themselves by their number, counted from ``base``; ``instead`` says which comes in place of another."""

    def __init__(self, instead: dict[int, int], base: int = 1, name: str = "page") -> None:
        self.instead, self.base, self.name = instead, base, name

    def __call__(self, request: ApiRequest) -> Any:
        number = self.instead.get(request.params["page"], request.params["page"])
        own = {self.name: number - 1 + self.base} if self.name else {}
        return {"meta": own, "items": ROWS[2 * number - 2 : 2 * number]}


def read(api: Any) -> list[str]:
    found: list[str] = []
    for _ in pull(
        Offline(api), first_page, paginate=PAGE, records=Records(path="items"), warn=found.append
    ):
        pass
    return found


def test_a_page_that_calls_itself_another_one_is_a_warning() -> None:
    assert read(Numbered({number: number + 1 for number in range(3, 11)})) == [
        "Page 3 calls itself 4 where 3 follows (meta.page) at GET https://api.example.com/rows. If it is right, the API or a cache on the "
        "way answered with another page than it was asked for: records may be missing, or come twice."
    ]
    warning, _ = read(Numbered({3: 5}, base=0, name="number"))  # and page 5 came before
    assert warning.startswith("Page 3 calls itself 4 where 2 follows (meta.number)")


def test_numbers_that_do_not_count_pages_are_no_warning() -> None:
    def constant(request: ApiRequest) -> Any:
        items = ROWS[2 * request.params["page"] - 2 : 2 * request.params["page"]]
        return {"page": 1, "number": len(items), "meta": {"page": 7}, "items": items}

    assert read(constant) == []
    assert read(Numbered({})) == []


def test_a_page_that_came_before_is_a_warning_where_the_number_of_rows_is_right() -> None:
    assert read(Numbered({5: 2}, name="")) == [
        "Page 5 holds exactly what an earlier page held at GET https://api.example.com/rows: records came twice, and others may be "
        "missing. The API or a cache on the way answered with another page than it was asked for."
    ]
