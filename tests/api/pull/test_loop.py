"""The pull loop over real HTTP: paging styles, rules, reading ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import (
    CursorPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    ResponseRule,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import (
    ForeignOriginRefused,
    InvalidRecord,
    PaginationLimit,
    PaginationLoop,
    RecordsNotFound,
)
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, FakeClock, Reply, Route

ROWS = [{"id": number} for number in range(10)]
ITEMS = Records(path="items")


def ids(pages: Iterator[Any]) -> list[int]:
    return [msgspec.json.decode(record)["id"] for page in pages for record in page.records]


def answer_by_number(size: int = 4) -> Callable[[Asked], dict[str, Any]]:
    def route(asked: Asked) -> dict[str, Any]:
        start = (int(asked.query["page"]) - 1) * size
        return {"items": ROWS[start : start + size], "pages": -(-len(ROWS) // size)}

    return route


def answer_by_offset(asked: Asked) -> Any:
    start, size = int(asked.query["offset"]), min(int(asked.query["limit"]), 3)
    return {"items": ROWS[start : start + size], "total": len(ROWS)}


def answer_by_cursor(asked: Asked) -> Any:
    start = int(asked.query.get("after", 0))
    following = {"next": str(start + 4)} if start + 4 < len(ROWS) else {}
    return {"items": ROWS[start : start + 4], "paging": following}


def answer_by_link(asked: Asked) -> Any:
    start = int(asked.query.get("from", 0))
    header = {"Link": f'<?from={start + 4}>; rel="next"'} if start + 4 < len(ROWS) else {}
    return Reply({"items": ROWS[start : start + 4]}, headers=header)


def answer_by_next_url(asked: Asked) -> Any:
    start = int(asked.query.get("from", 0))
    following = f"/rows?from={start + 4}" if start + 4 < len(ROWS) else None
    return {"items": ROWS[start : start + 4], "next": following}


STYLES: list[tuple[Route, Paginate]] = [
    (answer_by_number(), PageNumberPaginator(size=4)),
    (answer_by_number(), PageNumberPaginator(total_pages="pages")),
    (answer_by_number(), PageNumberPaginator(size=4, prefetch=3)),
    (answer_by_number(), PageNumberPaginator(total_pages="pages", prefetch=3)),
    (answer_by_offset, OffsetPaginator(size=4)),
    (answer_by_offset, OffsetPaginator(size=4, total="total")),
    (answer_by_offset, OffsetPaginator(size=3, advance="size", prefetch=4)),
    (answer_by_offset, OffsetPaginator(size=3, advance="size", total="total", prefetch=4)),
    (answer_by_cursor, CursorPaginator(next="paging.next", param="after")),
    (answer_by_link, LinkHeaderPaginator()),
    (answer_by_next_url, NextUrlPaginator(next="next")),
]


@pytest.mark.parametrize(("route", "paginate"), STYLES)
def test_every_style_yields_each_record_once_in_order(
    serve: Serve, connect: Connect, route: Route, paginate: Paginate
) -> None:
    session = connect(serve(route))
    pages = pull(session, ApiRequest("/rows"), paginate=paginate, records=ITEMS)
    assert ids(pages) == list(range(10))


@pytest.mark.parametrize(("route", "paginate"), STYLES)
def test_the_session_paginates_with_the_same_engine(
    serve: Serve, connect: Connect, route: Route, paginate: Paginate
) -> None:
    records = connect(serve(route)).paginate("/rows", records="items", paginate=paginate)
    assert list(records) == ROWS


def test_pages_have_a_size_a_count_and_a_redacted_url(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: {"items": ROWS[:2]})
    request = ApiRequest("/rows", params={"api_key": "hush", "flag": True, "none": None})
    (page,) = pull(connect(api), request, records=ITEMS)
    assert (page.count, page.index, page.bytes) == (2, 0, len(b'{"items": [{"id": 0}, {"id": 1}]}'))
    assert page.url == f"{api.url}/rows?api_key=***&flag=true"


def test_records_reach_the_consumer_byte_for_byte(serve: Serve, connect: Connect) -> None:
    body = b'[{"n": 1.10, "big": 123456789012345678901234567890, "e": 1E5, "t": "\\u00e4"}]'
    (page,) = pull(connect(serve(lambda _: Reply(body))), ApiRequest("/"))
    assert bytes(page.records[0]) == body[1:-1]


def test_post_reads_page_in_the_body_and_are_tried_again(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        if len(api.asked) == 1:
            return Reply({}, 503)
        start = asked.json.get("page", {}).get("after", 0)
        return {"items": ROWS[start : start + 5], "next": start + 5 if start < 5 else None}

    api = serve(route)
    request = ApiRequest("/search", "POST", json={"q": "a"})
    paginate = CursorPaginator(next="next", body="page.after", size=5, size_param="page.size")
    assert ids(pull(connect(api), request, paginate=paginate, records=ITEMS)) == list(range(10))
    assert [asked.json for asked in api.asked] == [
        {"q": "a", "page": {"size": 5}},
        {"q": "a", "page": {"size": 5}},
        {"q": "a", "page": {"size": 5, "after": 5}},
    ]


def test_a_next_url_keeps_its_query_byte_for_byte(serve: Serve, connect: Connect) -> None:
    tricky = "/rows?c=a%252Fb%7E%2b+x&sig=%41=="

    def route(asked: Asked) -> Any:
        return {"items": ROWS[:1], "next": None if "c=" in asked.target else tricky}

    api = serve(route)
    request = ApiRequest("/rows", params={"limit": 1})
    list(pull(connect(api), request, paginate=NextUrlPaginator(next="next"), records=ITEMS))
    # %2b and %2B are the same octet to every reader; urllib3 writes it in upper case.
    assert api.paths == ["/rows?limit=1", tricky.replace("%2b", "%2B")]


def test_a_next_url_to_a_foreign_origin_is_refused(serve: Serve, connect: Connect) -> None:
    foreign = serve(lambda _: {})
    api = serve(lambda _: {"items": ROWS[:1], "next": f"{foreign.url}/steal?token=abc"})
    pages = pull(
        connect(api), ApiRequest("/"), paginate=NextUrlPaginator(next="next"), records=ITEMS
    )
    with pytest.raises(ForeignOriginRefused) as caught:
        list(pages)
    assert (foreign.asked, "abc" in str(caught.value)) == ([], False)


def test_a_cursor_cycle_is_found_even_with_others_in_between(
    serve: Serve, connect: Connect
) -> None:
    turn = {None: "a", "a": "b", "b": "a"}
    api = serve(lambda asked: {"items": ROWS[:1], "next": turn[asked.query.get("after")]})
    pages = pull(
        connect(api),
        ApiRequest("/"),
        paginate=CursorPaginator(next="next", param="after"),
        records=ITEMS,
    )
    with pytest.raises(PaginationLoop, match="Page 3 leads back to a page that was read before"):
        list(pages)
    assert len(api.asked) == 3


def test_an_ignored_page_parameter_is_found_by_the_same_body_twice(
    serve: Serve, connect: Connect
) -> None:
    api = serve(lambda asked: {"items": ROWS, "self": asked.target})
    with pytest.raises(PaginationLoop, match="Page 2 holds exactly what page 1 held"):
        list(pull(connect(api), ApiRequest("/"), paginate=PageNumberPaginator(), records=ITEMS))


def test_an_api_that_takes_page_0_for_page_1_gets_its_own_hint(
    serve: Serve, connect: Connect
) -> None:
    api = serve(lambda asked: {"items": [{"id": max(1, int(asked.query["page"]))}, {"id": 0}]})
    numbers = PageNumberPaginator(start=0)
    with pytest.raises(PaginationLoop, match="takes 0 for 1, leave out start: 0"):
        list(pull(connect(api), ApiRequest("/"), paginate=numbers, records=ITEMS))


@pytest.mark.parametrize(
    "paginate",
    [PageNumberPaginator(size=4, max_pages=2), PageNumberPaginator(size=4, max_records=7)],
)
def test_max_pages_and_max_records_fail_instead_of_cutting_short(
    serve: Serve, connect: Connect, paginate: Paginate
) -> None:
    with pytest.raises(PaginationLimit, match="max_"):
        list(
            pull(
                connect(serve(answer_by_number())),
                ApiRequest("/"),
                paginate=paginate,
                records=ITEMS,
            )
        )


@pytest.mark.parametrize("prefetch", [1, 4])
def test_a_status_past_the_end_ends_only_after_page_one(
    serve: Serve, connect: Connect, prefetch: int
) -> None:
    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        return {"items": ROWS[page * 2 - 2 : page * 2]} if page <= 3 else Reply({}, 404)

    paginate = PageNumberPaginator(end_on_status=(404,), prefetch=prefetch)
    session = connect(serve(route))
    assert ids(pull(session, ApiRequest("/"), paginate=paginate, records=ITEMS)) == list(range(6))
    gone = connect(serve(lambda _: Reply({}, 404)))
    with pytest.raises(ApiStatusError, match="404"):
        list(pull(gone, ApiRequest("/"), paginate=paginate, records=ITEMS))


def test_flags_decide_over_empty_and_short_pages(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        return {
            "items": [] if page == 2 else ROWS[page : page + 1],
            "more": "true" if page < 4 else 0,
        }

    paginate = PageNumberPaginator(more="more", size=5)
    pages = pull(connect(serve(route)), ApiRequest("/"), paginate=paginate, records=ITEMS)
    assert ids(pages) == [1, 3, 4]


def test_an_absent_path_is_an_error_with_the_keys_there_are(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: {"itmes": [], "total": 0})
    with pytest.raises(RecordsNotFound) as caught:
        list(pull(connect(api), ApiRequest("/x"), records=ITEMS))
    assert str(caught.value) == (
        f"The record selector 'items' finds nothing in the answer at GET {api.url}/x. The body has: itmes, total. "
        "Correct records. If the API leaves out an empty list, set records.absent: empty."
    )


def test_a_response_without_content_has_no_records(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: Reply(status=204))
    (page,) = pull(connect(api), ApiRequest("/"), records=ITEMS, paginate=PageNumberPaginator())
    assert (page.count, len(api.asked)) == (0, 1)


def test_rules_come_before_the_retry_policy(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = serve(lambda _: Reply({}, 503))
    rules = [ResponseRule(status="5xx", action="skip")]
    assert list(pull(connect(api), ApiRequest("/"), responses=rules)) == []
    assert (len(api.asked), clock.slept) == (1, [])


def test_a_retry_rule_on_a_body_waits_as_it_says(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    replies = [{"ok": False}, {"ok": False}, {"ok": True, "items": ROWS}]
    api = serve(lambda _: replies[len(api.asked) - 1])
    rules = [ResponseRule(when="ok == `false`", action="retry", wait="PT3S")]
    assert ids(pull(connect(api), ApiRequest("/"), responses=rules, records=ITEMS)) == list(
        range(10)
    )
    assert clock.slept == [3.0, 3.0]


def test_a_fail_rule_adds_its_message(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: {"ok": False, "error": "closed"})
    rules = [ResponseRule(when="!ok", action="fail", message="The account is closed.")]
    with pytest.raises(ApiStatusError) as caught:
        list(pull(connect(api), ApiRequest("/x"), responses=rules))
    assert str(caught.value) == (
        'The API answered HTTP 200 OK: {"ok": false, "error": "closed"} '
        f"at GET {api.url}/x. The account is closed."
    )


@pytest.mark.parametrize("action", ["fail", "retry", "rate_limit", "refresh"])
@pytest.mark.parametrize(("status", "reported"), [(200, True), (403, False)])
def test_a_rule_without_message_is_named_where_the_status_shows_no_error(
    local: Connect, action: Any, status: int, *, reported: bool
) -> None:
    rules = [ResponseRule(when="!ok", action=action, wait="PT1S", max_attempts=2)]
    with pytest.raises(ApiStatusError) as caught:
        list(pull(local(lambda _: Reply({}, status)), ApiRequest("/x"), responses=rules))
    assert (f"responses with action: {action} match" in str(caught.value)) is reported


@pytest.mark.parametrize("action", ["retry", "rate_limit"])
def test_a_used_up_retry_rule_leaves_a_retryable_error(
    serve: Serve, connect: Connect, action: Any
) -> None:
    api = serve(lambda _: {"ok": False})
    rules = [ResponseRule(when="!ok", action=action, wait="PT7S", max_attempts=2)]
    with pytest.raises(ApiStatusError) as caught:
        list(pull(connect(api), ApiRequest("/"), responses=rules))
    assert (caught.value.retryable, caught.value.retry_after, len(api.asked)) == (True, 7.0, 2)


def test_a_refresh_rule_gets_one_new_token(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        good = asked.headers["Authorization"] == "Bearer t2"
        return {"items": ROWS} if good else Reply({"code": "INVALID_SESSION"}, 403)

    rules = [ResponseRule(status=403, when="code == 'INVALID_SESSION'", action="refresh")]
    api = serve(route)
    assert ids(pull(connect(api), ApiRequest("/"), responses=rules, records=ITEMS)) == list(
        range(10)
    )
    assert len(api.asked) == 2


@pytest.mark.parametrize("prefetch", [1, 3])
def test_a_rule_that_ends_at_the_first_answer_yields_no_page(
    serve: Serve, connect: Connect, prefetch: int
) -> None:
    api = serve(lambda _: Reply({}, 404))
    rules = [ResponseRule(status=404, action="end")]
    paginate = PageNumberPaginator(prefetch=prefetch)
    assert list(pull(connect(api), ApiRequest("/"), paginate=paginate, responses=rules)) == []
    assert len(api.asked) == 1


def test_each_page_is_reported_before_it_is_handed_out(serve: Serve, connect: Connect) -> None:
    seen: list[int] = []
    pages = pull(
        connect(serve(answer_by_number())),
        ApiRequest("/"),
        paginate=PageNumberPaginator(size=4),
        records=ITEMS,
        on_page=lambda page: seen.append(page.index),
    )
    assert [(page.index, list(seen)) for page in pages] == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]


@pytest.mark.parametrize("flag", [{"last": None}, {"last": "perhaps"}, {}])
def test_a_flag_that_is_missing_or_not_boolean_is_an_error(
    serve: Serve, connect: Connect, flag: dict[str, Any]
) -> None:
    api = serve(lambda _: {"items": ROWS, **flag})
    pages = pull(
        connect(api), ApiRequest("/"), paginate=PageNumberPaginator(last="last"), records=ITEMS
    )
    with pytest.raises(InvalidRecord, match=r"The flag 'last' of page 1 is (missing|'perhaps') at"):
        list(pages)


def test_a_last_flag_ends_the_pages(serve: Serve, connect: Connect) -> None:
    api = serve(lambda asked: {**answer_by_number()(asked), "last": asked.query["page"] == "2"})
    pages = pull(
        connect(api), ApiRequest("/"), paginate=PageNumberPaginator(last="last"), records=ITEMS
    )
    assert ids(pages) == list(range(8))


def test_waits_are_logged_with_reason_and_redacted_url(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "oauth_taskflow")
    replies = [Reply({}, 503, {"Retry-After": "9"}), Reply(drop=True), []]
    api = serve(lambda _: replies.pop(0))
    list(pull(connect(api), ApiRequest("/x", params={"api_key": "hush"})))
    where = f"from GET {api.url}/x?api_key=***"
    assert caplog.messages[0] == f"HTTP 503 {where}; next try in 9.0 s"
    assert caplog.messages[1].startswith(f"ConnectionError {where}; next try in ")
