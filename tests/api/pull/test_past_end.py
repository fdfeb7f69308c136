"""An error status behind the last page: the API's own, or that of a login page or proxy that answered in its place."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    TotalRows,
)
from oauth_taskflow.errors import ApiError
from tests.api.pull.both_sessions import read_by_both
from tests.api.scripted import Asked, Reply

ROWS = [{"id": number} for number in range(1, 5)]
HTML = {"Content-Type": "text/html; charset=utf-8"}
TO_LOGIN = Reply(status=302, headers={"Location": "/login"})
GONE = Reply({"detail": "Invalid page."}, 404)
NGINX = Reply(b"<html><head><title>404 Not Found</title></head></html>", 404, HTML)
BY_STATUS = PageNumberPaginator(end_on_status=(404,))


class Numbered:
    """Two pages of two rows; ``third`` answers what is asked for behind them, and ``others`` other paths."""

    def __init__(self, third: Reply, others: Any = GONE, **more: Any) -> None:
        self.third, self.others, self.more = third, others, more

    def __call__(self, asked: Asked) -> Any:
        if asked.path != "/rows":
            return self.others(asked) if callable(self.others) else self.others
        page = int(asked.query.get("page") or 1 + int(asked.query.get("offset", 0)) // 2)
        return self.third if page > 2 else {"items": ROWS[2 * page - 2 : 2 * page], **self.more}


def read(route: Any, paginate: Paginate = BY_STATUS) -> list[Any]:
    return read_by_both(route, records="items", paginate=paginate)[0]


@pytest.mark.parametrize(
    "paginate",
    [
        BY_STATUS,
        PageNumberPaginator(end_on_status=(404,), prefetch=3),
        OffsetPaginator(end_on_status=(404,)),
    ],
)
@pytest.mark.parametrize("body", [GONE, NGINX, Reply(b"", 404)])
def test_a_status_behind_a_redirect_to_another_path_is_no_end(
    paginate: Paginate, body: Reply
) -> None:
    with pytest.raises(
        ApiError, match="redirected to another path, so HTTP 404 is not the end"
    ) as caught:
        read(Numbered(TO_LOGIN, body), paginate)
    assert "/login" in str(caught.value)


@pytest.mark.parametrize("paginate", [PageNumberPaginator(), OffsetPaginator()])
def test_after_such_a_redirect_nobody_is_told_to_take_the_status_for_the_end(
    paginate: Paginate,
) -> None:
    with pytest.raises(ApiError, match=r"write end_on_status: \[404\]"):
        read(Numbered(GONE), paginate)
    with pytest.raises(ApiError, match="check that the token is accepted") as caught:
        read(Numbered(TO_LOGIN, GONE), paginate)
    assert "end_on_status" not in str(caught.value)


def test_other_errors_behind_a_redirect_keep_their_own_hint() -> None:
    with pytest.raises(ApiError) as caught:
        read(Numbered(TO_LOGIN, Reply({}, 403)))
    assert "redirected to another path" not in str(caught.value)


def test_a_next_url_that_was_redirected_is_not_said_to_need_another_base() -> None:
    def route(asked: Asked) -> Any:
        if asked.path == "/rows":
            return {"items": ROWS[:2], "next": "more"}
        return TO_LOGIN if asked.path == "/more" else GONE

    with pytest.raises(ApiError, match="HTTP 404 is not the end") as caught:
        read(route, NextUrlPaginator(next="next"))
    assert "api_root" not in str(caught.value)


def test_a_redirect_that_only_adds_a_slash_leads_nowhere_else() -> None:
    """Django redirects ``/rows`` to ``/rows/``, page by page or at the last one only."""
    slash = Reply(status=301, headers={"Location": "/rows/"})
    assert read(Numbered(slash)) == ROWS


def test_an_api_that_has_moved_may_redirect_each_page_to_its_new_path() -> None:
    def route(asked: Asked) -> Any:
        if asked.path == "/rows":
            return Reply(status=301, headers={"Location": f"/v2{asked.target}"})
        page = int(asked.query["page"])
        return GONE if page > 2 else {"items": ROWS[2 * page - 2 : 2 * page]}

    assert read(route) == ROWS


@pytest.mark.parametrize(
    "third",
    [NGINX, Reply(b"Not Found", 404, HTML), Reply(b"\n<!DOCTYPE html><p>404</p>", 404)],
)
def test_an_html_page_at_the_end_is_a_warning(
    third: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(Numbered(third)) == ROWS
    reported = "HTTP 404 with an HTML page ended reading after page 2"
    assert caplog.text.count(reported) == 2  # one of each session


@pytest.mark.parametrize(
    ("paginate", "more"),
    [
        (PageNumberPaginator(end_on_status=(404,), total=TotalRows(path="total")), {"total": 3}),
        (PageNumberPaginator(end_on_status=(404,)), {"total_count": 4}),
    ],
)
def test_an_html_page_where_the_end_was_announced_is_none(
    paginate: Paginate, more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert len(read(Numbered(NGINX, **more), paginate)) == 4
    assert "HTML page" not in caplog.text


@pytest.mark.parametrize("third", [GONE, Reply(b"", 404, HTML), Reply(b"gone", 404)])
def test_other_bodies_at_the_end_cause_no_warning(
    third: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(Numbered(third)) == ROWS
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


FIRST = Reply({"items": ROWS[:2], "next": "http://api.example.com/rows?cursor=abc"})
AS_NEXT_URL = "The cursor is a URL. If it is that of the next page, write paginate: {type: next_url, next: next}."


@pytest.mark.parametrize(
    "second",
    [
        GONE,
        Reply({"detail": "Invalid cursor"}, 400),
        FIRST,  # the parameter is ignored
    ],
)
def test_a_cursor_that_is_the_url_of_the_next_page_is_named(second: Reply) -> None:
    """Frameworks call their next URL so, and send a cursor in it (Django REST framework)."""

    def route(asked: Asked) -> Any:
        return second if "cursor" in asked.query else FIRST

    with pytest.raises(ApiError) as caught:
        read(route, CursorPaginator(next="next", param="cursor"))
    assert AS_NEXT_URL in str(caught.value)


def test_the_url_in_a_header_is_named_with_it() -> None:
    def route(asked: Asked) -> Any:
        url = "HTTPS://api.example.com/rows?cursor=abc"
        return GONE if asked.query else Reply({"items": ROWS}, headers={"X-Next": url})

    with pytest.raises(ApiError, match=r"write paginate: \{type: next_url, header: X-Next\}"):
        read(route, CursorPaginator(header="X-Next", param="cursor"))


@pytest.mark.parametrize(
    ("cursor", "status"), [("abc", 404), ("/rows?cursor=abc", 404), ("https://a.example/1", 403)]
)
def test_other_cursors_and_statuses_keep_their_own_hint(cursor: str, status: int) -> None:
    def route(asked: Asked) -> Any:
        return Reply({}, status) if asked.query else {"items": ROWS, "next": cursor}

    with pytest.raises(ApiError) as caught:
        read(route, CursorPaginator(next="next", param="cursor"))
    assert "type: next_url" not in str(caught.value)
