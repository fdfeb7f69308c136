"""Servers that answer guessed pages in every wrong way: the pull reads what it would read one by one."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from oauth_taskflow.api.options import ResponseRule
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from tests.api.conftest import Connect, Serve
from tests.api.pull.test_page_guesses import ITEMS, PagedApi, lane, paginator, read
from tests.api.scripted import Asked, FakeClock, Reply

PAST_THE_END = {
    "an answer too deep": Reply(b"[" * 200_000),
    "a redirect to another host": Reply({}, 302, {"Location": "https://elsewhere.example/x"}),
    "a wait of hours": Reply({}, 429, {"Retry-After": "7200"}),
    "a closed connection": Reply(drop=True),
    "no more bytes": Reply({"items": []}, cut=5),
}


@pytest.mark.parametrize("name", PAST_THE_END)
def test_answers_past_the_end_are_discarded_unjudged(
    serve: Serve, connect: Connect, name: str
) -> None:
    api = PagedApi(38)

    def route(asked: Asked) -> Any:
        return PAST_THE_END[name] if int(asked.query["page"]) > 8 else api(asked)

    assert read(connect(serve(route)), paginator("page", 5), lane(8)) == list(range(38))


def test_every_fifth_connection_is_closed(serve: Serve, connect: Connect) -> None:
    api = PagedApi(100)
    count = iter(range(1_000_000))

    def route(asked: Asked) -> Any:
        return Reply(drop=True) if next(count) % 5 == 4 else api(asked)

    assert read(connect(serve(route)), paginator("page", 5), lane(6)) == list(range(100))


def test_a_wait_of_hours_for_a_guess_is_asked_again_in_its_turn(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = PagedApi(60, refusals={7: Reply({}, 429, {"Retry-After": "7200"})})
    assert read(connect(serve(api)), paginator("page", 5), lane(6)) == list(range(60))
    assert clock.slept == []


@pytest.mark.parametrize("action", ["retry", "rate_limit"])
def test_a_rule_that_retries_a_guess_retries_it_in_its_turn(
    serve: Serve, connect: Connect, action: Any
) -> None:
    api = PagedApi(60)
    seen: set[str] = set()
    lock = threading.Lock()

    def route(asked: Asked) -> Any:
        page = asked.query["page"]
        with lock:
            is_busy = int(page) > 2 and page not in seen
            seen.add(page)
        return {"busy": True} if is_busy else api(asked)

    pages = pull(
        connect(serve(route)),
        ApiRequest("/"),
        paginate=paginator("page", 5),
        records=ITEMS,
        lane=lane(6),
        responses=[ResponseRule(when="busy", action=action, wait="PT1S")],
        decode=True,
    )
    assert [row["id"] for page in pages for row in page.records] == list(range(60))


def test_an_error_of_the_reader_leaves_no_thread(serve: Serve, connect: Connect) -> None:
    paginate = paginator("page", 5, max_records=42)
    assert read(connect(serve(PagedApi(1_000))), paginate, lane(8)) == "PaginationLimit"
    assert [t.name for t in threading.enumerate() if t.name.startswith("oauth-taskflow-")] == []
