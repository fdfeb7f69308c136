"""Options of the styles: where values travel, flags in headers, first requests, sticky parameters. Sync and async."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    LastRecord,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageFlag,
    PageNumberPaginator,
    Paginate,
    TotalRows,
)
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord, PaginationLoop
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import first_page, view
from tests.api.scripted import Asked, Reply

ROWS = [{"id": number} for number in range(1, 8)]


def page_of(start: int, size: int = 3) -> list[Any]:
    return ROWS[start : start + size]


@pytest.mark.parametrize(
    ("paginate", "sent"),
    [
        (PageNumberPaginator(param="X-At", start=0, size=3, size_param="X-Size"), "X-Size"),
        (OffsetPaginator(param="X-At", size=3, size_param="X-Size"), "X-Size"),
        (CursorPaginator(next="next", param="X-At", size=3, size_param="X-Size"), "X-Size"),
    ],
)
def test_values_travel_in_headers_with_the_size_beside_them(paginate: Any, sent: str) -> None:
    unit = 3 if isinstance(paginate, PageNumberPaginator) else 1

    def route(asked: Asked) -> Any:
        start = int(asked.headers.get("X-At") or 0) * unit
        following = {"next": start + 3} if start + 3 < len(ROWS) else {}
        return {"items": page_of(start, int(asked.headers[sent])), **following}

    options = {**_fields(paginate), "send_in": "header"}
    records, asked = read_by_both(route, records="items", paginate=type(paginate)(**options))
    assert records == ROWS
    assert [each.target for each in asked] == ["/rows"] * 3


def _fields(paginate: Any) -> dict[str, Any]:
    return {name: getattr(paginate, name) for name in paginate.__struct_fields__}


def test_a_header_replaces_one_of_the_request_in_any_case() -> None:
    request = ApiRequest("/rows", headers={"x-at": "old", "Accept": "a"})
    assert request.with_header("X-At", 7).headers == {"Accept": "a", "X-At": "7"}


@pytest.mark.parametrize("cursor", ["a\r\nAuthorization: b", "a\n", "\u20ac", "a\x00b"])
def test_a_cursor_that_no_header_can_carry_fails_in_words(cursor: str) -> None:
    paginate = CursorPaginator(next="next", param="X-At", send_in="header")
    if cursor == "a\n":  # a line break at the end is white space
        assert paginate.next_request(first_page, view({"next": cursor})).headers == {"X-At": "a"}  # type: ignore[union-attr]
        return
    with pytest.raises(InvalidRecord) as caught:
        paginate.next_request(first_page, view({"next": cursor}))
    assert str(caught.value) == (
        "The value for the header 'X-At' has a line break or a character outside Latin-1. "
        "Send it in the query or in the body."
    )


def test_a_cursor_in_a_header_that_comes_again_is_a_loop() -> None:
    def route(asked: Asked) -> Any:
        return {"items": [{"id": asked.headers.get("X-At", "a")}], "next": "b"}

    paginate = CursorPaginator(next="next", param="X-At", send_in="header")
    with pytest.raises(PaginationLoop, match="Page 2 leads back to a page that was read before"):
        read_by_both(route, records="items", paginate=paginate)


def test_a_cursor_travels_in_the_body_by_param_as_by_body() -> None:
    def route(asked: Asked) -> Any:
        start = asked.json.get("page", {}).get("after", 0)
        return {"items": page_of(start), "next": start + 3 if start + 3 < len(ROWS) else None}

    long = CursorPaginator(next="next", param="page.after", send_in="body")
    for paginate in (long, CursorPaginator(next="next", body="page.after")):
        records, _ = read_by_both(
            route, records="items", paginate=paginate, json={"q": 1}, method="POST"
        )
        assert records == ROWS


@pytest.mark.parametrize(
    ("flag", "headers"),
    [
        ({"more": PageFlag(header="X-More")}, ("true", "false")),
        ({"more": PageFlag(header="X-More", matches="on|yes")}, ("on", "off")),
        ({"more": PageFlag(header="X-More", matches="[1-9][0-9]*")}, ("10", "0")),
        ({"more": PageFlag(header="X-More", absent=False)}, ("1", None)),
        ({"last": PageFlag(header="X-More", matches="0")}, ("10", "0")),
        ({"last": PageFlag(header="X-More", absent=False)}, (None, "yes")),
    ],
)
def test_a_flag_in_a_header_says_whether_pages_follow(
    flag: dict[str, Any], headers: tuple[str | None, str | None]
) -> None:
    def route(asked: Asked) -> Any:
        start = int(asked.query["offset"])
        says = headers[0] if start + 3 < len(ROWS) else headers[1]
        return Reply({"items": page_of(start)}, headers={"X-More": says} if says else {})

    records, asked = read_by_both(route, records="items", paginate=OffsetPaginator(**flag))
    assert records == ROWS
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("flag", "body", "message"),
    [
        (
            PageFlag(header="X-More"),
            {},
            "The flag 'X-More' of page 1 is missing at GET https://api.example.com/v3/. Correct the name in more or "
            "last; if pages may lack the flag, write absent: false or absent: true.",
        ),
        (
            PageFlag(path="state"),
            {"state": "partial"},
            "The flag 'state' of page 1 is 'partial' at GET https://api.example.com/v3/. A flag must be true or false on "
            "every page; matches: says which other values mean true. For a pointer to the next page, page by it (type: next_url or "
            "cursor), or write more: {path: state, matches: '.+', absent: false}.",
        ),
        (
            PageFlag(path="state"),
            {"state": {}},
            "The flag 'state' of page 1 is {} at GET https://api.example.com/v3/. Correct the path of more or last; it must be "
            "true or false on every page.",
        ),
        (
            PageFlag(path="state", matches="partial"),
            {"state": ["partial"]},
            "The flag 'state' of page 1 is ['partial'] at GET https://api.example.com/v3/. Write matches: with a "
            "regular expression for the values that mean true.",
        ),
    ],
)
def test_a_flag_without_a_meaning_fails(flag: PageFlag, body: Any, message: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        flag.read(view(body))
    assert str(caught.value) == message


@pytest.mark.parametrize("pointer", [2, "2", "abc", "/rows?page=2"])
def test_the_error_of_a_pointer_as_a_flag_names_what_makes_one_of_it(pointer: Any) -> None:
    with pytest.raises(InvalidRecord) as caught:
        PageFlag(path="next", absent=False).read(view({"next": pointer}))
    assert "more: {path: next, matches: '.+', absent: false}" in str(caught.value)
    remedy = PageFlag(path="next", matches=".+", absent=False)
    assert remedy.read(view({"next": pointer}))
    assert not any(remedy.read(view(body)) for body in ({}, {"next": None}, {"next": ""}))


def test_the_word_of_a_flag_matches_as_a_whole_and_booleans_in_json_spelling() -> None:
    assert not PageFlag(path="left", matches="0").read(view({"left": 10}))
    assert PageFlag(path="on", matches="true").read(view({"on": True}))
    assert not PageFlag(path="on", matches="true").read(view({"on": "untrue"}))


def test_a_flag_in_a_header_is_a_landmark() -> None:
    options = OffsetPaginator(last=PageFlag(header="X-Last"))
    page = view({}, headers={"X-Last": "true"})
    assert options.has_landmark(page.body, page.headers)
    assert not options.has_landmark(page.body, {})


@pytest.mark.parametrize(
    ("paginate", "first", "second"),
    [
        (OffsetPaginator(size=3, send_first=False), "/rows?limit=3", "/rows?limit=3&offset=3"),
        (OffsetPaginator(size=3), "/rows?offset=0&limit=3", "/rows?offset=3&limit=3"),
        (OffsetPaginator(size=3, size_param=None), "/rows?offset=0", "/rows?offset=3"),
        (OffsetPaginator(size=3, size_param=""), "/rows?offset=0", "/rows?offset=3"),
        (
            OffsetPaginator(size=3, advance="size", prefetch=3, send_first=False, total="total"),
            "/rows?limit=3",
            "/rows?limit=3&offset=3",
        ),
        (
            PageNumberPaginator(size=3, size_param="n", send_first=False),
            "/rows?n=3",
            "/rows?n=3&page=2",
        ),
    ],
)
def test_the_first_request_may_leave_the_position_out_and_a_size_unsent(
    paginate: Paginate, first: str, second: str
) -> None:
    def route(asked: Asked) -> Any:
        query = asked.query
        start = int(query.get("offset", 0)) + 3 * (int(query.get("page", 1)) - 1)
        return {"items": page_of(start), "total": len(ROWS)}

    records, asked = read_by_both(route, records="items", paginate=paginate)
    assert records == ROWS
    # Pages ahead arrive in any order.
    assert asked[0].target == _sort_like(asked, first)
    assert _sort_like(asked, second) in {each.target for each in asked[1:]}
    assert len(asked) == 3  # a short page after a full one is the end


def _sort_like(asked: list[Asked], target: str) -> str:
    """``target`` in the order of parameters that was sent."""
    path, _, query = target.partition("?")
    wanted = sorted(query.split("&"))
    return next(
        (
            each.target
            for each in asked
            if sorted(each.target.partition("?")[2].split("&")) == wanted
        ),
        f"{path}?{query}",
    )


@pytest.mark.parametrize("paginate", [LinkHeaderPaginator(sticky=("key", "tag", "on", "v"))])
def test_a_link_gets_the_sticky_parameters_that_it_lacks(paginate: Paginate) -> None:
    def route(asked: Asked) -> Any:
        start = int(asked.query.get("from", 0))
        link = {"Link": f'<?from={start + 3}&v=9>; rel="next"'} if start + 3 < len(ROWS) else {}
        return Reply(page_of(start), headers=link)

    records, asked = read_by_both(
        route,
        path="/rows?v=1",
        paginate=paginate,
        params={"key": "a b", "tag": ["x", "y"], "on": True, "none": None},
    )
    assert records == ROWS
    assert asked[1].target == "/rows?from=3&v=9&key=a%20b&tag=x&tag=y&on=true"


def test_a_space_in_the_query_is_percent_encoded_and_a_plus_stays_one() -> None:
    params = {"$filter": "id le 7", "c": ["x y", None, "z"], "sum": "1+1/é", "none": None}
    _, asked = read_by_both(lambda _: [], path="/rows?own=a+b", params=params)
    target = "/rows?own=a+b&%24filter=id%20le%207&c=x%20y&c=z&sum=1%2B1%2F%C3%A9"
    assert [each.target for each in asked] == [target]


def test_a_sticky_parameter_of_the_path_and_before_a_fragment_is_found() -> None:
    paginate = NextUrlPaginator(next="next", sticky=("v", "missing"))
    page = view({"next": "/x#top"})
    asked = paginate.next_request(
        first_page, type(page)(**{**vars(page), "first": ApiRequest("/rows?v=1%202")})
    )
    assert asked is not None
    assert asked.path == "https://api.example.com/x?v=1%202#top"


def test_a_last_record_without_its_cursor_may_be_the_end() -> None:
    def route(asked: Asked) -> Any:
        start = int(asked.query.get("after", 0))
        page = [{**row, "token": row["id"]} for row in page_of(start)]
        if start + 3 >= len(ROWS):
            del page[-1]["token"]
        return {"items": page}

    last = LastRecord(path="token", absent="end")
    records, asked = read_by_both(
        route,
        records="items[].{id: id, token: token}",
        paginate=CursorPaginator(last_record=last, param="after"),
    )
    assert [record["id"] for record in records] == [row["id"] for row in ROWS]
    assert len(asked) == 3


def test_an_end_by_a_missing_cursor_below_the_total_is_still_an_error() -> None:
    from oauth_taskflow.errors import PagesCutShort  # noqa: PLC0415 - one test

    paginate = CursorPaginator(
        last_record=LastRecord(path="token", absent="end"),
        param="after",
        total=TotalRows(path="total"),
    )
    with pytest.raises(PagesCutShort, match="the API announced 9"):
        read_by_both(
            lambda _: {"items": page_of(0), "total": 9}, records="items", paginate=paginate
        )
