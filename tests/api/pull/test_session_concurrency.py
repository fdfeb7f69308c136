"""``concurrency`` of ``session.paginate``, sync and async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.options import PageNumberPaginator, Paginate
from oauth_taskflow.errors import ApiError
from tests.api.conftest import Connect, Serve
from tests.api.pull.test_page_guesses import ENDS, PagedApi, paginator
from tests.api.scripted import Asked, Reply, ScriptedApi

Read = Callable[[ScriptedApi, Paginate, Any], list[int] | str]


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest, connect: Connect, converse: Any) -> Read:
    """Reads the numbers of all rows, or the name of the error."""

    def in_sync(api: ScriptedApi, paginate: Paginate, concurrency: Any) -> list[int] | str:
        rows = connect(api).paginate(
            "/", records="items", paginate=paginate, concurrency=concurrency
        )
        try:
            return [row["id"] for row in rows]
        except ApiError as error:
            return error.what

    def on_a_loop(api: ScriptedApi, paginate: Paginate, concurrency: Any) -> list[int] | str:
        async def talk(session: AsyncOAuthSession) -> list[int] | str:
            rows = session.paginate(
                "/", records="items", paginate=paginate, concurrency=concurrency
            )
            try:
                return [row["id"] async for row in rows]
            except ApiError as error:
                return error.what

        found: list[int] | str = converse(api, talk)
        return found

    return in_sync if request.param == "sync" else on_a_loop


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("rows", [20, 23])
@pytest.mark.parametrize("total", [True, False])
def test_several_at_once_read_what_one_at_once_reads(
    serve: Serve, read: Read, end: Any, rows: int, total: bool
) -> None:
    paginate = paginator("page" if total else "offset", 5, **({"total": "total"} if total else {}))
    route = PagedApi(rows, end, total=total)
    api = serve(route)
    alone = read(api, paginate, 1)
    requests, route.asked = len(route.asked), []
    assert read(api, paginate, 4) == alone
    assert len(route.asked) <= requests + (0 if total else 4)


def test_pages_are_in_flight_together_up_to_the_number(serve: Serve, read: Read) -> None:
    together = threading.Barrier(3, timeout=120)
    api = PagedApi(90, total=True)

    def route(asked: Asked) -> Any:
        if asked.query["page"] != "1" and int(asked.query["page"]) <= 7:
            together.wait()
        return api(asked)

    paginate = paginator("page", 10, total="total")
    assert read(serve(route), paginate, 3) == list(range(90))


def test_auto_reads_everything_too(serve: Serve, read: Read) -> None:
    api = PagedApi(400)
    assert read(serve(api), paginator("page", 10), "auto") == list(range(400))
    assert len(api.asked) <= 41 + 7


def test_a_guess_that_fails_is_asked_again_alone(serve: Serve, read: Read) -> None:
    api = PagedApi(100, refusals={3: Reply({}, 500), 4: Reply(b"<html>")})
    assert read(serve(api), paginator("page", 10), 4) == list(range(100))
    assert api.asked.count(3) == 2


def test_a_number_of_prefetch_holds_within_concurrency(serve: Serve, read: Read) -> None:
    paginate = PageNumberPaginator(size=10, size_param="limit", prefetch=1)
    api = PagedApi(40)
    assert read(serve(api), paginate, 8) == list(range(40))
    assert api.asked == [0, 1, 2, 3, 4]


def test_stopping_early_on_a_loop_cancels_what_is_in_flight(serve: Serve, converse: Any) -> None:
    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        return Reply(silent=True) if page > 2 else {"items": [{"id": page}]}

    api = serve(route)

    async def talk(session: AsyncOAuthSession) -> int:
        rows = session.paginate(
            "/",
            records="items",
            paginate=PageNumberPaginator(size=1, size_param="limit"),
            concurrency=4,
        )
        await anext(rows)
        await anext(rows)
        await rows.aclose()
        return len(asyncio.all_tasks())

    assert converse(api, talk) == 1
    assert len(api.asked) <= 1 + 4 + 1
