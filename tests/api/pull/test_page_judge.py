"""When an answer is a page: every row of the table in docs/paging.md, in every style, at the beginning and later."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    PageNumberPaginator,
    Records,
    ResponseRule,
    SinglePage,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import ApiError, InvalidRecord, NotAPage, PagesCutShort, RecordsNotFound
from tests.api.conftest import Connect, Converse, Serve
from tests.api.pull.styles import COUNTED, PAGED, POINTED, ROWS, SIZE, STYLES, Api
from tests.api.scripted import Reply

ITEMS = Records(path="items")
ALLOWED = Records(path="items", absent="empty")
OLDER = Records(path="items", require=False)
CONDITION = {"If-None-Match": '"1"'}
HTML = Reply(b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
NO_PAGE: dict[str, tuple[Any, type[ApiError]]] = {
    "empty mapping": ({}, RecordsNotFound),
    "error": ({"error": {"code": 500}}, RecordsNotFound),
    "errors": ({"errors": ["busy"]}, RecordsNotFound),
    "error beside null": ({"items": None, "error": "busy"}, RecordsNotFound),
    "error beside an empty list": ({"items": [], "error": "busy"}, RecordsNotFound),
    "other mapping": ({"message": "later"}, RecordsNotFound),
    "text": ("later", RecordsNotFound),
    "null": (Reply(b"null"), NotAPage),
    "empty body": (Reply(b""), NotAPage),
    "not ready": (Reply({"items": []}, 202), NotAPage),
    "html": (HTML, InvalidRecord),
    "cut": (Reply(b'{"items": [{"id": 1}, {"i'), InvalidRecord),
    "not modified": (Reply(status=304), NotAPage),
}
WHERE = [("none", 0), *((style, index) for style in PAGED for index in (0, 1))]


def ids(pages: Any) -> list[int]:
    records = [record for page in pages for record in page.records]
    return [msgspec.json.decode(msgspec.json.encode(record))["id"] for record in records]


def read(session: Any, style: str, records: Records = ITEMS, **more: Any) -> list[int]:
    asked = {name: more.pop(name) for name in ("responses", "warn") if name in more}
    request = ApiRequest("/rows", headers=more.pop("headers", {}))
    return ids(pull(session, request, paginate=STYLES[style](**more), records=records, **asked))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NO_PAGE)
@pytest.mark.parametrize(("style", "index"), WHERE)
def test_a_response_that_is_not_a_page_is_retried_and_then_fails(
    local: Connect, style: str, index: int, kind: str
) -> None:
    answer, error = NO_PAGE[kind]
    api = Api(style, {index: answer})
    with pytest.raises(error) as caught:
        read(local(api), style)
    assert (caught.value.retryable, api.asked[index]) == (True, 5)
    assert "GET http://127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("kind", NO_PAGE)
@pytest.mark.parametrize(("style", "index"), WHERE)
def test_a_response_that_is_not_a_page_once_loses_no_records(
    local: Connect, style: str, index: int, kind: str
) -> None:
    api = Api(style, {index: NO_PAGE[kind][0]}, times=1)
    expected = ROWS[:SIZE] if style == "none" else ROWS
    assert read(local(api), style) == [row["id"] for row in expected]
    assert api.asked[index] == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", NO_PAGE)
@pytest.mark.parametrize("style", ["page ahead", "cursor"])
def test_async_pulls_judge_responses_alike(
    serve: Serve, converse: Converse, style: str, kind: str
) -> None:
    async def talk(session: Any) -> list[int]:
        records = session.paginate("/rows", records="items", paginate=STYLES[style]())
        return [record["id"] async for record in records]

    once = Api(style, {1: NO_PAGE[kind][0]}, times=1)
    assert converse(serve(once), talk) == [row["id"] for row in ROWS]
    with pytest.raises(NO_PAGE[kind][1]) as caught:
        converse(serve(Api(style, {1: NO_PAGE[kind][0]})), talk)
    assert caught.value.retryable


@pytest.mark.parametrize("records", [ALLOWED, OLDER])
@pytest.mark.parametrize("style", PAGED)
def test_absent_records_are_empty_where_the_author_says_so(
    local: Connect, style: str, records: Records
) -> None:
    assert read(local(Api(style, {1: {}})), style, records) == [1, 2]
    assert read(local(Api(style, {0: {"kind": "list"}})), style, records) == []
    api = Api(style, {1: {"error": "busy"}})
    with pytest.raises(RecordsNotFound, match="root error"):
        read(local(api), style, records)
    assert api.asked[1] == 5


@pytest.mark.parametrize("style", ["page", "cursor"])
def test_a_session_may_say_what_absent_records_mean(local: Connect, style: str) -> None:
    session = local(Api(style, {1: {}}), absent_records="empty")
    assert read(session, style) == [1, 2]
    with pytest.raises(RecordsNotFound):
        read(session, style, Records(path="items", absent="fail"))
    misspelt = local(Api(style), absent_records="empty")
    with pytest.raises(RecordsNotFound, match="The body has: items"):
        read(misspelt, style, Records(path="itmes"))


@pytest.mark.parametrize("empty", [[], None])
@pytest.mark.parametrize("style", COUNTED)
def test_an_empty_page_with_its_path_ends_counting_styles(
    local: Connect, style: str, empty: Any
) -> None:
    api = Api(style, {1: {"items": empty}})
    assert read(local(api), style) == [1, 2]


@pytest.mark.parametrize("rows", [[], None])
@pytest.mark.parametrize("style", [style for style in POINTED if style != "link"])
def test_a_pointer_goes_on_over_empty_pages_with_and_without_the_path(
    local: Connect, style: str, rows: Any
) -> None:
    api = Api(style)
    api.instead = {1: api.page(1, rows)}
    assert read(local(api), style) == [1, 2, 5, 6]


def test_a_link_header_alone_does_not_make_a_response_a_page(local: Connect) -> None:
    api = Api("link")
    api.instead = {1: api.page(1, None)}
    with pytest.raises(RecordsNotFound):
        read(local(api), "link")


@pytest.mark.parametrize("style", PAGED)
def test_a_flag_or_total_makes_a_response_without_records_a_page(
    local: Connect, style: str
) -> None:
    api = Api(style, total=4, pages=3)
    api.instead = {index: {"total": 4} for index in (2, 3)}
    assert read(local(api), style, total="total") == [1, 2, 3, 4]
    first = {"total": 3000}
    with pytest.raises(PagesCutShort, match="announced 3,000"):
        read(local(Api(style, {0: first, 1: first})), style, total="total")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("style", PAGED)
def test_no_content_is_the_end_unless_a_total_or_flag_denies_it(
    local: Connect, style: str, status: int
) -> None:
    nothing = {1: Reply(status=status)}
    more: dict[str, Any] = {"headers": CONDITION}
    assert read(local(Api(style, nothing)), style, **more) == [1, 2]
    assert read(local(Api(style, {0: Reply(status=status)})), style, **more) == []
    with pytest.raises(PagesCutShort, match="after 2 records, but the API announced 6"):
        read(local(Api(style, nothing, total=6)), style, total="total", **more)
    with pytest.raises(PagesCutShort, match="the last page said that more pages follow"):
        read(local(Api(style, nothing, flags=True)), style, more="more", **more)


def test_a_page_count_denies_an_end_too(local: Connect) -> None:
    def route(asked: Any) -> Any:
        page = int(asked.query["at"])
        return {"items": ROWS[page : page + 1], "pages": 5} if page < 2 else Reply({}, 404)

    paginate: dict[str, Any] = {"total_pages": "pages", "end_on_status": (404,)}
    with pytest.raises(PagesCutShort, match="announced 5 pages and 2 came"):
        read(local(route), "page", **paginate)


def test_empty_pages_within_a_page_count_are_passed_over(local: Connect) -> None:
    def route(asked: Any) -> Any:
        page = int(asked.query["at"])
        return {"items": ROWS[page : page + 1] if page != 1 else [], "pages": 4}

    assert read(local(route), "page", total_pages="pages") == [1, 3, 4]


# Responses of real APIs when there is nothing, or nothing more.
LEGITIMATE: dict[str, tuple[Any, Any, Records]] = {
    "Square": ({}, CursorPaginator(next="cursor", param="cursor"), ALLOWED),
    "Google": (
        {"kind": "drive#fileList", "incompleteSearch": False},
        CursorPaginator(next="nextPageToken", param="pageToken"),
        ALLOWED,
    ),
    "X": (
        {"meta": {"result_count": 0}},
        CursorPaginator(next="meta.next_token", param="pagination_token"),
        ALLOWED,
    ),
    "Pipedrive": (
        {"success": True, "data": None, "additional_data": {"more_items_in_collection": False}},
        CursorPaginator(
            next="additional_data.next_start",
            param="start",
            more="additional_data.more_items_in_collection",
        ),
        Records(path="data"),
    ),
    "Marketo": (
        {"requestId": "a", "success": True, "moreResult": False, "nextPageToken": "b"},
        CursorPaginator(next="nextPageToken", param="nextPageToken", more="moreResult"),
        Records(path="result"),
    ),
    "Microsoft Graph": (
        {"@odata.context": "x", "value": []},
        NextUrlPaginator(next='"@odata.nextLink"'),
        Records(path="value"),
    ),
    "eBay": ({"total": 0, "href": "x"}, PageNumberPaginator(total="total"), Records(path="orders")),
    "GitHub": ([], STYLES["link"](), Records()),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_empty_responses_of_real_apis_are_judged(serve: Serve, connect: Connect, name: str) -> None:
    body, paginate, records = LEGITIMATE[name]
    api = serve(lambda _: body)
    assert ids(pull(connect(api), ApiRequest("/"), paginate=paginate, records=records)) == []
    assert len(api.asked) == 1


def test_a_root_null_may_be_the_end_by_the_authors_rule(local: Connect) -> None:
    rules = [ResponseRule(status=200, when="@ == `null`", action="end")]
    for nothing in (Reply(b"null"), Reply(b"")):
        api = Api("page", {1: nothing})
        assert read(local(api), "page", responses=rules) == [1, 2]


def test_a_single_record_is_distinguished_from_a_root_error(local: Connect) -> None:
    single = Records(single=True)
    session = local(lambda _: {"id": 7, "error": None})
    assert ids(pull(session, ApiRequest("/"), records=single)) == [7]
    failed = local(lambda _: {"id": 7, "error": "gone"})
    with pytest.raises(RecordsNotFound, match="path: '@', single: true"):
        list(pull(failed, ApiRequest("/"), records=single))
    meant = Records(path="@", single=True)
    assert ids(pull(failed, ApiRequest("/"), records=meant)) == [7]


def test_a_list_under_another_name_is_a_misspelt_path_whatever_else_is_found(
    local: Connect,
) -> None:
    session = local(Api("page", flags=True))
    with pytest.raises(RecordsNotFound, match="The body has: items, more"):
        read(session, "page", Records(path="itmes"), more="more")


def test_pages_fetched_past_the_end_are_not_judged(local: Connect) -> None:
    past = {index: {"error": "no such page"} for index in range(4, 9)}
    api = Api("page ahead", past, times=1)
    assert read(local(api), "page ahead") == [row["id"] for row in ROWS]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("style", PAGED)
@pytest.mark.parametrize("answer", ["busy", 0, False, [{"id": 1}]])
def test_an_absent_path_is_not_another_kind_of_answer(
    local: Connect, style: str, index: int, answer: Any
) -> None:
    """``absent: empty`` is for mappings that leave the list out."""
    session = local(Api(style, {index: answer}))
    with pytest.raises(RecordsNotFound, match="finds nothing in the answer"):
        read(session, style, ALLOWED)


@pytest.mark.parametrize("path", ["data.items", "data.items[?id]", "data.items[].row"])
def test_a_text_or_list_on_the_way_to_records_is_not_an_absent_list(
    local: Connect, path: str
) -> None:
    records = Records(path=path, absent="empty")
    for data in ("busy", 7, [{"id": 1}]):
        session = local(lambda _, data=data: {"data": data, "next": "on"})
        with pytest.raises(RecordsNotFound):
            read(session, "cursor", records)
    empty: list[Any] = [{}, {"data": None}, {"data": []}, {"data": ""}, {"data": {}}, []]
    for nothing in empty:
        session = local(lambda _, nothing=nothing: nothing)
        assert read(session, "cursor", records) == []


def test_a_root_error_with_records_is_a_warning(local: Connect) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, "errors": [{"message": "partial"}]})
    assert read(session, "none", warn=warned.append) == [row["id"] for row in ROWS]
    (warning,) = warned
    assert "Page 1 has records and a root error beside them: some may be missing" in warning


@pytest.mark.parametrize(
    "fine", [None, "", "ok", "None", 0, [], {}, {"code": "ok", "message": ""}, {"code": 0}]
)
def test_an_error_key_that_reports_success_is_not_an_error(local: Connect, fine: Any) -> None:
    warned = list[str]()
    for rows in (ROWS, []):
        session = local(lambda _, rows=rows: {"items": rows, "error": fine})
        assert read(session, "none", warn=warned.append) == [row["id"] for row in rows]
    assert warned == []


def test_a_filter_without_a_match_is_not_an_error(local: Connect) -> None:
    session = local(lambda _: {"items": ROWS, "error": "partial"})
    assert read(session, "none", Records(path="items[?off]"), warn=lambda _: None) == []


@pytest.mark.parametrize("style", POINTED)
def test_no_content_behind_a_pointer_is_a_warning(local: Connect, style: str) -> None:
    warned = list[str]()
    if style == "last record":
        pytest.skip("its cursor leads on from every page")
    read(local(Api(style, {1: Reply(status=204)})), style, warn=warned.append)
    assert ["HTTP 204 ended reading at page 2, although page 1 led there" in w for w in warned] == [
        True
    ]


def test_a_skipped_page_ends_the_sequence_with_a_warning(local: Connect) -> None:
    warned = list[str]()
    rules = (ResponseRule(status=404, action="skip"),)
    for index in (0, 1):
        session = local(Api("cursor", {index: Reply({}, 404)}))
        read(session, "cursor", responses=rules, warn=warned.append)
    (warning,) = warned
    assert "skipped page 2 and what follows at GET" in warning


LEADS: list[Any] = [
    ({"items": ROWS, "has_more": True}, "has_more"),
    ({"items": ROWS, "next_cursor": "x"}, "next_cursor"),
    ({"items": ROWS, "@odata.nextLink": "https://a/b"}, "@odata.nextLink"),
    ({"items": ROWS, "next": "/rows?page=2"}, "next"),
    ({"items": ROWS, "paging": {"next": {"after": "2"}}}, "paging.next"),
    ({"items": ROWS, "meta": {"next_page": 2}}, "meta.next_page"),
    (Reply({"items": ROWS}, headers={"Link": '<?p=2>; rel="next"'}), "a Link header with rel=next"),
]


@pytest.mark.parametrize(("answer", "sign"), LEADS)
def test_signs_of_unread_pages_without_paginate_are_a_warning(
    local: Connect, answer: Any, sign: str
) -> None:
    warned = list[str]()
    session = local(lambda _: answer)
    for paginate in (None, SinglePage()):
        pages = pull(
            session, ApiRequest("/rows"), records=ITEMS, paginate=paginate, warn=warned.append
        )
        assert sum(page.count for page in pages) == len(ROWS)
    (warning,) = warned
    assert f"more pages follow ({sign})" in warning


@pytest.mark.parametrize(
    "more",
    [
        {"has_more": False},
        {"next": None, "next_cursor": "", "paging": {}},
        {"next": "Monday", "links": [], "meta": {"next_page": False}},
    ],
)
def test_a_single_page_without_a_sign_of_more_causes_no_warning(local: Connect, more: Any) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, **more})
    assert len(ids(pull(session, ApiRequest("/rows"), records=ITEMS, warn=warned.append))) == 6
    assert warned == []


@pytest.mark.parametrize("action", ["end", "skip"])
def test_a_rule_that_drops_records_is_a_warning(local: Connect, action: Any) -> None:
    """``end`` is for answers behind the last page, not for the last page itself."""
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, "last": True})
    rules = (ResponseRule(when="last", action=action),)
    assert read(session, "cursor", responses=rules, warn=warned.append) == []
    (warning,) = warned
    assert "drops an answer with 6 records at GET" in warning
    assert "write last or more in paginate" in warning
