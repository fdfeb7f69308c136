"""A judge reads every answer of a fetch, and may ask for another try: the tries are those of the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.options import PageNumberPaginator
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import Decision
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import ApiError, InvalidRecord
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import FakeClock, Reply, ScriptedApi
from tests.api.test_session import in_turn

Fetch = Callable[..., Any]
Read = Callable[..., list[Any]]


@pytest.fixture(params=["sync", "async"])
def fetch(request: pytest.FixtureRequest, connect: Connect, converse: Converse) -> Fetch:
    """``fetch`` of each session in turn."""

    def run(api: ScriptedApi, asked: ApiRequest, judge: Any, **options: Any) -> Any:
        if request.param == "sync":
            return connect(api, **options).fetch(asked, judge=judge)

        async def talk(session: AsyncOAuthSession) -> Any:
            return await session.fetch(asked, judge=judge)

        return converse(api, talk, **options)

    return run


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest, connect: Connect, converse: Converse) -> Read:
    """``paginate`` of each session in turn."""

    def run(api: ScriptedApi, **options: Any) -> list[Any]:
        if request.param == "sync":
            return list(connect(api).paginate("/x", **options))

        async def talk(session: AsyncOAuthSession) -> list[Any]:
            return [record async for record in session.paginate("/x", **options)]

        records: list[Any] = converse(api, talk)
        return records

    return run


def wants_rows(response: requests.Response, decision: Decision | None) -> Any:
    if "rows" not in response.json():
        raise ApiError("No rows", retryable=response.json().get("later", False), retry_after=7.0)
    return response.json()["rows"]


def test_the_value_of_the_judge_is_part_of_the_result(serve: Serve, fetch: Fetch) -> None:
    assert fetch(serve(in_turn({"rows": [1]})), ApiRequest("/x"), wants_rows).value == [1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_judge_may_ask_for_another_try(
    serve: Serve, fetch: Fetch, clock: FakeClock, method: str
) -> None:
    api = serve(in_turn({"later": True}, {"later": True}, {"rows": [1]}))
    asked = ApiRequest("/x", method, json={"q": 1} if method == "POST" else None)
    assert fetch(api, asked, wants_rows).value == [1]
    assert (len(api.asked), clock.slept) == (3, [7.0, 7.0])


def test_tries_that_a_judge_asks_for_count_like_those_after_an_error_status(
    serve: Serve, fetch: Fetch
) -> None:
    api = serve(in_turn(Reply({}, 503), {"later": True}, Reply({}, 503), {"later": True}))
    with pytest.raises(ApiError, match="No rows") as caught:
        fetch(api, ApiRequest("/x"), wants_rows, retry=RetryPolicy(attempts=4))
    assert (len(api.asked), caught.value.retryable) == (4, True)


def test_a_final_error_of_the_judge_is_not_retried(serve: Serve, fetch: Fetch) -> None:
    api = serve(in_turn({}))
    with pytest.raises(ApiError, match="No rows"):
        fetch(api, ApiRequest("/x"), wants_rows)
    assert len(api.asked) == 1


def test_a_judge_that_names_too_long_a_wait_frees_the_slot(serve: Serve, fetch: Fetch) -> None:
    api = serve(in_turn({"later": True}))
    with pytest.raises(ApiError) as caught:
        fetch(api, ApiRequest("/x"), wants_rows, retry=RetryPolicy(longest_wait=5.0))
    assert (len(api.asked), caught.value.retry_after) == (1, 7.0)


BROKEN = {
    "truncated": b'{"rows": [{"id": 1}, {"id": ',
    "html": b"<html><title>Back soon</title></html>",
    "two values": b'{"rows": []}{"rows": []}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("prefetch", [1, 3])
def test_a_page_that_is_broken_once_is_read_again(
    serve: Serve, read: Read, body: bytes, prefetch: int
) -> None:
    broken = {"1", "2", "4"}

    def route(asked: Any) -> Any:
        page = asked.query["page"]
        if page in broken:
            broken.remove(page)
            return Reply(body)
        return {"rows": [{"id": int(page)}] if int(page) < 6 else []}

    paginate = PageNumberPaginator(param="page", prefetch=prefetch)
    assert read(serve(route), records="rows", paginate=paginate) == [{"id": n} for n in range(1, 6)]


def test_a_page_that_stays_broken_fails_in_a_way_that_airflow_tries_again(
    serve: Serve, read: Read
) -> None:
    api = serve(in_turn(Reply(BROKEN["html"])))
    with pytest.raises(InvalidRecord, match="not JSON") as caught:
        read(api, records="rows")
    assert (caught.value.retryable, len(api.asked)) == (True, 5)


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": "\x01"}'])
def test_json_that_would_be_invalid_again_is_not_requested_again(
    serve: Serve, read: Read, body: bytes
) -> None:
    api = serve(in_turn(Reply(body)))
    with pytest.raises(InvalidRecord, match="not JSON") as caught:
        read(api, records="rows")
    assert (caught.value.retryable, len(api.asked)) == (False, 1)
