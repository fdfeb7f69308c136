"""Errors of an async session: those of ``failures`` that are the matching ``httpx`` exceptions too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx

from oauth_taskflow.api.aio.views import error_view, request_view, response_view
from oauth_taskflow.api.decoders.json_outline import check_depth
from oauth_taskflow.api.errors import (
    ApiAnswerTooLarge,
    ApiCallFailed,
    ApiConsentRequired,
    ApiStatusError,
    ApiTimeout,
    ApiUnreachable,
    RetryVerdict,
    add_library_class,
    json_error,
    picklable_class,
    status_error,
)
from oauth_taskflow.api.network_errors import (
    is_transient,
    network_error,
    public_cause,
    too_large_error,
    too_slow_error,
)
from oauth_taskflow.api.request_secrets import strip_credentials
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.content_coding import BadCoding, Decoder
from oauth_taskflow.errors import ApiRequestFailed


class _Unpickled(ApiRequestFailed):
    """Leaves request and response, which hold the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        kept = {name: value for name, value in state.items() if name not in _LIVE}
        return rebuild, (picklable_class(cls), {**kept, "_request": None, "response": None})


_LIVE = frozenset({"request", "_request", "response"})


class AsyncStatusError(_Unpickled, ApiStatusError, httpx.HTTPStatusError):  # type: ignore[misc]  # request: of httpx
    """The API answered with an error status; ``response`` holds the answer."""


class AsyncConsentRequired(AsyncStatusError, ApiConsentRequired):  # type: ignore[misc]  # as above
    """The API wants a person to log in again, with more."""


class AsyncUnreachable(_Unpickled, ApiUnreachable, httpx.NetworkError):  # type: ignore[misc]  # as above
    """The API could not be reached, or broke off its answer."""


class AsyncTimedOut(_Unpickled, ApiTimeout, httpx.TimeoutException):  # type: ignore[misc]  # as above
    """The API did not answer in time."""


class AsyncCallFailed(_Unpickled, ApiCallFailed, httpx.RequestError):  # type: ignore[misc]  # as above
    """The request failed, and neither the network nor the API's status is why."""


class AsyncAnswerTooLarge(AsyncCallFailed, ApiAnswerTooLarge):  # type: ignore[misc]  # as above
    """The answer's body is larger than the session's ``limits``; trying again cannot help."""


_TWINS: dict[type[ApiRequestFailed], type[ApiRequestFailed]] = {
    ApiAnswerTooLarge: AsyncAnswerTooLarge,
    ApiCallFailed: AsyncCallFailed,
    ApiStatusError: AsyncStatusError,
    ApiConsentRequired: AsyncConsentRequired,
    ApiUnreachable: AsyncUnreachable,
    ApiTimeout: AsyncTimedOut,
}


class AsyncApiResponse(httpx.Response):
    """An ``httpx.Response`` whose error hides secrets and says whether a retry may help."""

    verdict = RetryVerdict()
    limits = DEFAULT_LIMITS

    def __getstate__(self) -> dict[str, Any]:
        """As ``httpx`` pickles it, but the request, which carries the token, is method and URL alone."""
        sent = strip_credentials(request_view(self.request))
        bare = httpx.Request(sent.method or "", sent.url or "")
        return {**super().__getstate__(), "_request": bare, "next_request": None}

    def raise_for_status(self) -> httpx.Response:
        """This response, when its status is below 400.

        Raises:
            ApiStatusError: the status says error; an ``httpx.HTTPStatusError`` as well.
        """
        if self.status_code < 400:
            return self
        view = response_view(self)
        view.verdict = self.verdict
        raise to_httpx_error(status_error(view), self.request, self)

    def json(self, **kwargs: Any) -> Any:
        """The body read as JSON; ``kwargs`` are those of ``json.loads``.

        Raises:
            ApiNotJson: it is something else, often a login or maintenance page.
        """
        try:
            check_depth(self.content, self.limits.depth)
            return super().json(**kwargs)
        except (ValueError, RecursionError) as error:
            raise json_error(response_view(self), error) from error

    async def aread(self) -> bytes:
        """The whole body.

        Raises:
            ApiAnswerTooLarge: it is larger than ``limits.bytes``.
            ApiTimeout: it was not there after ``limits.seconds``, or stopped coming.
            ApiUnreachable: the connection broke in the middle.
            ApiCallFailed: it is not in its ``Content-Encoding``.
        """
        try:
            await self.load(self.limits.seconds)
        except httpx.RequestError as error:
            raise self._as_ours(error) from public_cause(error_view(error))
        return self.content

    async def load(self, seconds: float) -> None:
        """Read the body into memory within ``seconds``; raises as ``httpx`` does, but for the limits."""
        if hasattr(self, "_content"):
            return
        try:
            with anyio.fail_after(seconds):
                content = await self._collect()
        except TimeoutError:
            await self.aclose()
            raise slow_error(self.request, self.limits) from None
        if content is None:
            await self.aclose()
            raise to_httpx_error(
                too_large_error(request_view(self.request), self.limits), self.request
            )
        self._content = content

    async def _collect(self) -> bytes | None:
        """The whole decoded body; None when it is larger than ``limits.bytes``."""
        left = self.limits.bytes
        pieces: list[bytes] = []
        async for piece in self._decoded():
            left -= len(piece)
            if left < 0:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    async def _decoded(self) -> AsyncIterator[bytes]:
        """The body without its codings, in pieces of bounded size."""
        try:
            decoder = Decoder(self.headers.get("Content-Encoding", ""))
            async for raw in super().aiter_raw():
                for piece in decoder.feed(raw):
                    yield piece
            decoder.finish()
        except BadCoding as error:
            raise httpx.DecodingError(str(error), request=self.request) from error

    async def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As ``httpx`` does, and raises as ``aiter_bytes`` here."""
        async for piece in self._typed(super().aiter_raw(chunk_size)):
            yield piece

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The body in pieces, as they come where the answer is streamed; without limits.

        Raises:
            ApiUnreachable: the connection broke in the middle.
            ApiTimeout: nothing came for as long as the time-out.
            ApiCallFailed: the body is not in its ``Content-Encoding``.
        """
        if hasattr(self, "_content"):
            pieces = super().aiter_bytes(chunk_size)
        else:
            pieces = _rechunked(self._decoded(), chunk_size)
        async for piece in self._typed(pieces):
            yield piece

    async def _typed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces:
                yield piece
        except httpx.RequestError as error:
            raise self._as_ours(error) from public_cause(error_view(error))

    def _as_ours(self, error: httpx.RequestError) -> ApiRequestFailed:
        if isinstance(error, ApiRequestFailed):
            return error
        view = error_view(error)
        failure = network_error(view, request_view(self.request), retryable=is_transient(view))
        return to_httpx_error(failure, self.request, foreign=type(error))


async def _rechunked(pieces: AsyncIterator[bytes], size: int | None) -> AsyncIterator[bytes]:
    """``pieces`` cut and joined to ``size`` bytes each, as ``httpx`` does; as they come without a size."""
    held = b""
    async for piece in pieces:
        if size is None:
            yield piece
            continue
        held += piece
        whole = len(held) - len(held) % size
        for start in range(0, whole, size):
            yield held[start : start + size]
        held = held[whole:]
    if held:
        yield held


def slow_error(request: httpx.Request, limits: AnswerLimits) -> ApiRequestFailed:
    """Why waiting for the rest of an answer was given up."""
    return to_httpx_error(
        too_slow_error(request_view(request), limits), request, foreign=httpx.ReadTimeout
    )


def to_httpx_error(
    error: ApiRequestFailed,
    request: httpx.Request,
    response: httpx.Response | None = None,
    *,
    foreign: type[BaseException] = BaseException,
) -> ApiRequestFailed:
    """``error`` as the ``httpx`` exception that it is too, that of ``foreign`` where given; itself when there is none."""
    known = _TWINS.get(picklable_class(type(error)))
    if known is None:
        return error
    cls = add_library_class(known, foreign)
    made = cls.__new__(cls)
    made.args = error.args
    made.__dict__.update({k: v for k, v in vars(error).items() if k not in _LIVE})
    made.__dict__.update(_request=request, response=response)
    return made
