"""Reads the same pages by a session and by an async session: they must agree in every record and request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.session import OAuthSession
from tests.api.scripted import Asked, Sources, scripted


def read_by_both(route: Callable[[Asked], Any], **options: Any) -> tuple[list[Any], list[Asked]]:
    """Returns the records that ``paginate`` yields, and the requests it made; ``route`` must not keep state."""
    path = options.pop("path", "/rows")
    with scripted(route) as api:
        with OAuthSession(api.url, Sources()) as session:
            records = list(session.paginate(path, **options))
        asked = list(api.asked)
        assert asyncio.run(_read_async(api.url, path, options)) == records
        in_turn = getattr(options.get("paginate"), "prefetch", None) is None
        shapes = [in_order(each, in_turn=in_turn) for each in (asked, api.asked[len(asked) :])]
        assert shapes[1] == shapes[0]
    return records, asked


def in_order(asked: list[Asked], *, in_turn: bool) -> list[tuple[Any, ...]]:
    """Returns the requests as they came; those that were sent at once came in any order, so sorted."""
    shapes = [shape(each) for each in asked]
    return shapes if in_turn else sorted(shapes, key=repr)


async def _read_async(url: str, path: str, options: dict[str, Any]) -> list[Any]:
    async with AsyncOAuthSession(url, Sources()) as session:
        return [record async for record in session.paginate(path, **options)]


def shape(asked: Asked) -> tuple[Any, ...]:
    """Returns the parts that distinguish one request of a pull from another."""
    own = {name: value for name, value in asked.headers.items() if name.lower().startswith("x-")}
    body = asked.json if asked.body else None
    return asked.method, asked.target, own, body
