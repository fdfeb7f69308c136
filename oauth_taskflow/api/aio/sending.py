"""Sends one request with ``httpx`` and reads its response within the limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLError
from typing import Any, cast

import anyio
import httpx

from oauth_taskflow.api.aio.budgets import AsyncPermit
from oauth_taskflow.api.aio.errors import AsyncApiResponse, slow_error
from oauth_taskflow.api.aio.redirects import unreadable_redirect_error
from oauth_taskflow.api.response_limits import AnswerLimits

# The author's own trace function, kept while a request is sent several times.
_AUTHORS = "oauth_taskflow_trace"


async def send_once(
    send: Callable[..., Awaitable[httpx.Response]],
    request: httpx.Request,
    options: Mapping[str, Any],
    limits: AnswerLimits,
    permit: AsyncPermit | None = None,
) -> AsyncApiResponse:
    """The response to ``request``, sent with ``send``; reads the body unless the response is streamed."""
    try:
        with anyio.fail_after(limits.seconds) as scope:
            if permit is not None:
                _confirm_when_written(request, permit, scope)
            sent = await send(request, stream=True, auth=options["auth"], follow_redirects=False)
    except TimeoutError:
        raise slow_error(request, limits) from None
    except httpx.InvalidURL:  # ``httpx`` parses a redirect's target even if it does not follow
        raise unreadable_redirect_error(request) from None
    except SSLError as error:  # after the handshake, which ``httpx`` translates
        raise httpx.ReadError(str(error), request=request) from error
    sent.__class__ = AsyncApiResponse
    response = cast("AsyncApiResponse", sent)
    response.limits = limits
    if not options["stream"]:
        await _load(response, scope.deadline - anyio.current_time())
    return response


def _confirm_when_written(
    request: httpx.Request, permit: AsyncPermit, scope: anyio.CancelScope
) -> None:
    """Let ``permit`` be confirmed right before ``request`` is written; that wait does not count against the deadline."""
    other = request.extensions.get(_AUTHORS, request.extensions.get("trace"))

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if other is not None:
            await other(event, info)
        scope.deadline += await permit.trace(event, info)

    request.extensions = {**request.extensions, _AUTHORS: other, "trace": trace}


async def _load(response: AsyncApiResponse, seconds: float) -> None:
    try:
        await response.load(seconds)
    except BaseException:
        await response.aclose()
        raise
