"""Fixtures of the API tests: scripted servers and sessions on them, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from oauth_taskflow.api.session import OAuthSession
from tests.api.scripted import FakeClock, Route, ScriptedApi, Sources, scripted

Serve = Callable[[Route], ScriptedApi]
Connect = Callable[..., OAuthSession]


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
