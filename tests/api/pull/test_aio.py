"""Pages on an event loop: the engine of the sessions, every style, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.login_source import Login, LoginTokenSource
from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    ResponseRule,
)
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused, PaginationLoop
from oauth_taskflow.testing.fixtures import ServerFactory
from oauth_taskflow.testing.server import OAuthTestServer
from tests.api.conftest import Serve
from tests.api.scripted import Asked, FakeClock, Reply
from tests.api.test_real_api import DATA, NORWAY, STYLES


def read(
    server: OAuthTestServer, style: str, records: Records, paginate: Paginate, clock: FakeClock
) -> list[str]:
    """The codes of all Norwegian airports, 25 a page; each takes seven seconds of ``clock`` to work on."""
    names = {"username": server.credentials.username, "password": server.credentials.password}
    source = LoginTokenSource(Login(f"{server.base_url}/auth/token", names), clock=clock)

    async def main() -> list[str]:
        codes = []
        async with AsyncOAuthSession(server.base_url, source, clock=clock) as session:
            rows = session.paginate(
                f"/{style}/airports",
                params={**NORWAY, "per_page": 25},
                records=records,
                paginate=paginate,
            )
            async for row in rows:
                codes.append(row["icao"])
                clock.sleep(7)
        return codes

    return asyncio.run(main())


@pytest.mark.parametrize(("style", "records", "paginate"), STYLES)
def test_every_style_reads_the_same_airports(
    oauth_server: OAuthTestServer,
    style: str,
    records: Records,
    paginate: Paginate,
    clock: FakeClock,
) -> None:
    codes = read(oauth_server, style, records, paginate, clock)
    whole = read(
        oauth_server, "page", DATA, PageNumberPaginator(size=1000, size_param="per_page"), clock
    )
    assert codes == whole
    assert len(set(codes)) == len(codes) > 25


def test_tokens_that_expire_between_pages_go_unnoticed(
    oauth_server_factory: ServerFactory, clock: FakeClock
) -> None:
    server = oauth_server_factory(token_lifetime=60.0, clock=clock)
    codes = read(server, "page", DATA, PageNumberPaginator(size=25, size_param="per_page"), clock)
    assert len(set(codes)) == len(codes) > 50
    assert server.counters.logins > 1


Collect = Callable[..., list[Any]]


def collect(url: str, path: str, **options: Any) -> list[Any]:
    async def main() -> list[Any]:
        async with AsyncOAuthSession(url) as session:
            return [row async for row in session.paginate(path, **options)]

    return asyncio.run(main())


def serve_numbers(pages: int, status_after: int = 200) -> Callable[[Asked], Any]:
    """``pages`` pages of two rows; after these empty ones, or ``status_after``."""

    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        if page <= pages:
            return {"rows": [{"n": 2 * page - 1}, {"n": 2 * page}]}
        return Reply({"rows": []}, status_after)

    return route


@pytest.mark.parametrize("prefetch", [1, 3, 10])
def test_pages_fetched_past_the_end_are_thrown_away(serve: Serve, prefetch: int) -> None:
    paginate = PageNumberPaginator(prefetch=prefetch, end_on_status=(404,))
    rows = collect(serve(serve_numbers(4, 404)).url, "/x", records="rows", paginate=paginate)
    assert [row["n"] for row in rows] == list(range(1, 9))


def test_one_answer_without_paging_is_read_whole(serve: Serve) -> None:
    assert collect(serve(lambda _: [{"n": 1}]).url, "/x") == [{"n": 1}]


def test_a_next_link_is_followed_byte_for_byte_and_never_to_another_origin(serve: Serve) -> None:
    def route(asked: Asked) -> Any:
        first = asked.path == "/x"
        return {"rows": [1], "next": "/y?c=a%2Bb%3D%3D&d=x+y'(!)" if first else None}

    api = serve(route)
    assert collect(api.url, "/x", records="rows", paginate=NextUrlPaginator(next="next")) == [1, 1]
    assert api.paths[1] == "/y?c=a%2Bb%3D%3D&d=x+y'(!)"
    leading = serve(lambda _: {"rows": [1], "next": f"{api.url}/stolen"})
    with pytest.raises(ForeignOriginRefused):
        collect(leading.url, "/x", records="rows", paginate=NextUrlPaginator(next="next"))
    assert "/stolen" not in api.paths


def test_a_cursor_that_comes_again_is_a_loop(serve: Serve) -> None:
    api = serve(lambda _: {"rows": [{"n": 1}], "next": "same"})
    with pytest.raises(PaginationLoop):
        collect(api.url, "/x", records="rows", paginate=CursorPaginator(next="next", param="c"))


def test_rules_decide_before_the_status_does(serve: Serve) -> None:
    api = serve(lambda _: Reply({"rows": []}, 404))
    skip = ResponseRule(status=404, action="skip")
    assert collect(api.url, "/x", records="rows", responses=(skip,)) == []
    with pytest.raises(ApiRequestFailed, match="HTTP 404"):
        collect(api.url, "/x", records="rows")


def test_a_consumer_that_stops_early_leaves_no_task_behind(serve: Serve) -> None:
    api = serve(serve_numbers(1000))

    async def main() -> int:
        async with AsyncOAuthSession(api.url) as session:
            rows = session.paginate("/x", records="rows", paginate=PageNumberPaginator(prefetch=4))
            async for _ in rows:
                break
            await rows.aclose()
            return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert len(api.asked) < 10


def test_a_posted_search_sends_its_json_with_every_page(serve: Serve) -> None:
    api = serve(
        lambda asked: {"rows": [asked.json]} if asked.query["page"] == "1" else {"rows": []}
    )
    rows = collect(
        api.url, "/x", method="POST", json={"q": 1}, records="rows", paginate=PageNumberPaginator()
    )
    assert rows == [{"q": 1}]
    assert [asked.headers["Content-Type"] for asked in api.asked] == ["application/json"] * 2
