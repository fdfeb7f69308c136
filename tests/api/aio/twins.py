"""Both sessions behind one call, so that one test shows that they behave alike."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import pytest
import requests

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from tests.api.conftest import Connect, Converse
from tests.api.scripted import ScriptedApi


@dataclass(frozen=True)
class Outcome:
    """The result of one call, in a form that both libraries share."""

    status: int
    body: bytes
    hops: list[int]


@dataclass(frozen=True)
class Asking:
    """A call as both libraries take it. ``prepare`` is given the session before."""

    method: str = "GET"
    path: str = "/x"
    body: bytes | None = None
    auth: Any = None
    stream: bool = False
    as_json: bool = False
    hook: Callable[[Any], object] | None = None
    prepare: Callable[[Any], object] = lambda _: None

    @property
    def extra(self) -> dict[str, Any]:
        return {} if self.auth is None else {"auth": self.auth}


class Twin(Protocol):
    """Makes a call with a new session for ``api``; ``options`` are those of the session."""

    @property
    def library(self) -> Any:
        """The HTTP library whose exceptions the errors are too."""

    def __call__(self, api: ScriptedApi | str, asking: Asking, **options: Any) -> Outcome: ...


class SyncTwin:
    library = requests

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def __call__(self, api: ScriptedApi | str, asking: Asking, **options: Any) -> Outcome:
        session = self._connect(api, **options)
        if asking.hook is not None:
            hook = asking.hook
            session.hooks["response"].append(lambda answer, **_: hook(answer))
        asking.prepare(session)
        answer = session.request(
            asking.method, asking.path, data=asking.body, stream=asking.stream, **asking.extra
        )
        with answer:
            body = b"".join(answer.iter_content(4)) if asking.stream else answer.content
            if asking.as_json:
                answer.json()
            return Outcome(answer.status_code, body, [hop.status_code for hop in answer.history])


class AsyncTwin:
    library = httpx

    def __init__(self, converse: Converse) -> None:
        self._converse = converse

    def __call__(self, api: ScriptedApi | str, asking: Asking, **options: Any) -> Outcome:
        async def talk(session: AsyncOAuthSession) -> Outcome:
            if asking.hook is not None:
                session.event_hooks = {"response": [_make_async(asking.hook)]}
            asking.prepare(session)
            request = session.build_request(asking.method, asking.path, content=asking.body)
            answer = await session.send(request, stream=asking.stream, **asking.extra)
            try:
                pieces = [piece async for piece in answer.aiter_bytes(4)] if asking.stream else []
                body = b"".join(pieces) if asking.stream else answer.content
                if asking.as_json:
                    answer.json()
                return Outcome(
                    answer.status_code, body, [hop.status_code for hop in answer.history]
                )
            finally:
                await answer.aclose()

        made: Outcome = self._converse(api, talk, **options)
        return made


def _make_async(hook: Callable[[Any], object]) -> Callable[[Any], Any]:
    async def called(answer: Any) -> None:
        hook(answer)

    return called


@pytest.fixture(params=["sync", "async"])
def twin(request: pytest.FixtureRequest, connect: Connect, converse: Converse) -> Twin:
    """Each session in turn."""
    return SyncTwin(connect) if request.param == "sync" else AsyncTwin(converse)


def log_text_of(error: BaseException) -> str:
    """All that a log shows of ``error``: its texts and those of its causes."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)
