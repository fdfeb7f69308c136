"""Event hooks of an async session: set in every way that ``httpx`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from tests.api.conftest import Converse, Serve
from tests.api.scripted import Reply
from tests.api.test_session import in_turn

Hook = Callable[[Any], Any]
Setting = Callable[[AsyncOAuthSession, Hook], None]


def assign_list(session: AsyncOAuthSession, hook: Hook) -> None:
    session.event_hooks = {"request": [hook], "response": [hook]}


def put_into_the_mapping(session: AsyncOAuthSession, hook: Hook) -> None:
    for kind in ("request", "response"):
        session.event_hooks[kind] = [hook]


def append_to_list(session: AsyncOAuthSession, hook: Hook) -> None:
    for kind in ("request", "response"):
        session.event_hooks[kind].append(hook)


@pytest.mark.parametrize("setting", [assign_list, put_into_the_mapping, append_to_list])
def test_hooks_see_every_request_and_the_final_response(
    serve: Serve, converse: Converse, setting: Setting
) -> None:
    api = serve(in_turn(Reply({}, 503), {"ok": True}))
    seen: list[str] = []

    async def hook(event: httpx.Request | httpx.Response) -> None:
        seen.append(type(event).__name__)

    async def talk(session: AsyncOAuthSession) -> httpx.Response:
        setting(session, hook)
        return await session.get("/x")

    assert converse(api, talk).status_code == 200
    assert seen == ["Request", "Request", "AsyncApiResponse"]


def test_hooks_that_were_taken_away_are_not_called(serve: Serve, converse: Converse) -> None:
    async def never(_: object) -> None:
        raise AssertionError

    async def talk(session: AsyncOAuthSession) -> httpx.Response:
        append_to_list(session, never)
        session.event_hooks = {}
        return await session.get("/x")

    assert converse(serve(in_turn({})), talk).status_code == 200
