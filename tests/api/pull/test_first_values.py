"""A value that the request itself has for the paginator's parameter is that of page one; the paginator's own replace it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
)
from tests.api.pull.both_sessions import read_by_both
from tests.api.scripted import Asked

ROWS = [{"id": number} for number in range(1, 6)]
CURSOR = CursorPaginator(next="next", param="cursor")
IN_BODY = CursorPaginator(next="next", body="page.cursor")


def answer(value: Any) -> dict[str, Any]:
    """Two rows from the one that ``value`` names, which page one needs too: without a value there is nothing."""
    if value is None:
        return {"items": [], "next": None}
    start = 0 if value == "*" else int(value)
    follows = start + 2 < len(ROWS)
    return {"items": ROWS[start : start + 2], "next": str(start + 2) if follows else None}


def all_query_values(asked: Asked, name: str) -> list[str]:
    return [value for key, value in parse_qsl(urlsplit(asked.target).query) if key == name]


def read(route: Any, paginate: Paginate, **request: Any) -> tuple[list[Any], list[Asked]]:
    return read_by_both(route, records="items", paginate=paginate, **request)


@pytest.mark.parametrize(
    "request_parts",
    [
        {"params": {"cursor": "*", "sort": "id"}},
        {"params": {"cursor": ["*"], "sort": "id"}},
        {"path": "/rows?cursor=*&sort=id"},
        {"path": "/rows?sort=id&c%75rsor=*"},
        {"path": "/rows?sort=id", "params": {"cursor": "*"}},
    ],
)
def test_a_first_cursor_in_the_query_is_replaced_from_page_two_on(
    request_parts: Mapping[str, Any],
) -> None:
    def route(asked: Asked) -> Any:
        return answer(asked.query.get("cursor"))

    records, asked = read(route, CURSOR, **request_parts)
    assert records == ROWS
    assert [all_query_values(one, "cursor") for one in asked] == [["*"], ["2"], ["4"]]
    assert [all_query_values(one, "sort") for one in asked] == [["id"]] * 3


def test_a_first_cursor_in_the_body_is_replaced_from_page_two_on() -> None:
    def route(asked: Asked) -> Any:
        return answer(asked.json["page"].get("cursor"))

    body = {"page": {"cursor": "*", "limit": 2}, "sort": "id"}
    records, asked = read(route, IN_BODY, method="POST", json=body)
    assert records == ROWS
    assert [one.json for one in asked] == [
        {"page": {"cursor": value, "limit": 2}, "sort": "id"} for value in ("*", "2", "4")
    ]


def test_a_first_cursor_in_a_header_is_replaced_from_page_two_on() -> None:
    def route(asked: Asked) -> Any:
        return answer(asked.headers["X-Cursor"])

    paginate = CursorPaginator(next="next", param="X-Cursor", send_in="header")
    records, asked = read(route, paginate, headers={"x-cursor": "*"})
    assert records == ROWS
    sent = [[v for k, v in one.headers.items() if k.lower() == "x-cursor"] for one in asked]
    assert sent == [["*"], ["2"], ["4"]]


def test_a_first_cursor_beside_a_template_of_the_page_is_replaced_too() -> None:
    """The request is rendered for each page, with its own cursor; the paginator's replaces that."""

    def route(asked: Asked) -> Any:
        return answer(asked.query.get("cursor"))

    paginate = CursorPaginator(next="next", param="cursor", size=2)
    params = {"cursor": "*", "filter": "size:{{ page.size }}"}
    records, asked = read(route, paginate, params=params)
    assert records == ROWS
    assert [all_query_values(one, "cursor") for one in asked] == [["*"], ["2"], ["4"]]
    assert {one.query["filter"] for one in asked} == {"size:2"}


@pytest.mark.parametrize(
    ("paginate", "first", "later"),
    [
        (KeysetPaginator(key="id", param="at"), "0", ["2", "4", "5"]),
        (PageNumberPaginator(param="at", start=0, send_first=False), "0", ["1", "2", "3"]),
        (OffsetPaginator(param="at", send_first=False), "0", ["2", "4", "5"]),
    ],
)
def test_other_styles_that_send_nothing_on_page_one_replace_its_value_too(
    paginate: Paginate, first: str, later: list[str]
) -> None:
    is_number = isinstance(paginate, PageNumberPaginator)

    def route(asked: Asked) -> Any:
        value = asked.query.get("at")
        return answer(2 * int(value) if is_number and value else value)

    records, asked = read(route, paginate, params={"at": first})
    assert records == ROWS
    assert [all_query_values(one, "at") for one in asked] == [[each] for each in (first, *later)]


def test_the_value_of_page_one_is_not_taken_for_the_page_size(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Any other number among the parameters may be the size, by which a full page without a cursor is noticed."""
    rows = [{"id": number} for number in range(20)]
    misspelled = CursorPaginator(next="nxt", param="page")
    read(lambda _: {"items": rows, "next": "2"}, misspelled, params={"page": 1})
    assert "No second page was ever found, although a first page was full (20 rows)" in caplog.text
