"""Fixtures of the API tests: scripted servers and sessions on them, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.pull.in_flight import places, prefetch
from oauth_taskflow.api.session import OAuthSession
from tests.api.pull.styles import WithoutSockets
from tests.api.scripted import FakeClock, Route, ScriptedApi, Sources, scripted

Serve = Callable[[Route], ScriptedApi]
Connect = Callable[..., OAuthSession]
Talk = Callable[[AsyncOAuthSession], Awaitable[Any]]
Converse = Callable[..., Any]


@pytest.fixture(autouse=True)
def patient_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that a pull ends have ended after it, also when the whole process stood still for a while."""
    for module in (places, prefetch):
        monkeypatch.setattr(module, "_JOIN_SECONDS", 120.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> Sources:
    return Sources()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a scripted API for a route."""
    with ExitStack() as stack:
        yield lambda route: stack.enter_context(scripted(route))


@pytest.fixture
def connect(clock: FakeClock, source: Sources) -> Iterator[Connect]:
    """A session for a scripted API, with numbered tokens and a fake clock."""
    with ExitStack() as stack:

        def open_session(api: ScriptedApi | str, **options: Any) -> OAuthSession:
            url = api if isinstance(api, str) else api.url
            options = {"auth": source, "clock": clock, **options}
            return stack.enter_context(OAuthSession(url, options.pop("auth"), **options))

        yield open_session


@pytest.fixture
def local(connect: Connect) -> Callable[..., OAuthSession]:
    """``local(route)`` is a session for a route in this process."""

    def open_session(route: Route, **options: Any) -> OAuthSession:
        session = connect("http://127.0.0.1:9/v1", **options)
        session.mount("http://", WithoutSockets(route))
        return session

    return open_session


@pytest.fixture
def converse(clock: FakeClock, source: Sources) -> Converse:
    """``converse(api, talk)`` runs ``talk`` with a session for ``api``; numbered tokens, fake clock."""

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)

    def run(api: ScriptedApi | str, talk: Talk, **options: Any) -> Any:
        url = api if isinstance(api, str) else api.url

        async def main() -> Any:
            known = {"auth": source, "clock": clock, "sleep": sleep, **options}
            async with AsyncOAuthSession(url, known.pop("auth"), **known) as session:
                return await talk(session)

        return asyncio.run(main())

    return run
