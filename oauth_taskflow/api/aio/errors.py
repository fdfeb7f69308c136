"""Errors and responses of an async session: those of ``api.errors``, which are also exceptions of ``httpx``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ssl import SSLError
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
    """Base class that keeps request and response, which contain the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        kept = {name: value for name, value in state.items() if name not in _LIVE}
        return rebuild, (picklable_class(cls), {**kept, "_request": None, "response": None})


_LIVE = frozenset({"request", "_request", "response"})


class AsyncStatusError(_Unpickled, ApiStatusError, httpx.HTTPStatusError):  # type: ignore[misc]  # request: of httpx
    """The API answered with an error status; ``response`` is the response."""


class AsyncConsentRequired(AsyncStatusError, ApiConsentRequired):  # type: ignore[misc]  # as above
    """The API requires a person to log in again, with stronger authentication."""


class AsyncUnreachable(_Unpickled, ApiUnreachable, httpx.NetworkError):  # type: ignore[misc]  # as above
    """The API could not be reached, or the connection broke during its response."""


class AsyncTimedOut(_Unpickled, ApiTimeout, httpx.TimeoutException):  # type: ignore[misc]  # as above
    """The API did not answer in time."""


class AsyncCallFailed(_Unpickled, ApiCallFailed, httpx.RequestError):  # type: ignore[misc]  # as above
    """The request failed for a reason other than the network or the API's status."""


class AsyncAnswerTooLarge(AsyncCallFailed, ApiAnswerTooLarge):  # type: ignore[misc]  # as above
    """The response body is larger than the session's ``limits``; another attempt cannot help."""


_HTTPX_CLASSES: dict[type[ApiRequestFailed], type[ApiRequestFailed]] = {
    ApiAnswerTooLarge: AsyncAnswerTooLarge,
    ApiCallFailed: AsyncCallFailed,
    ApiStatusError: AsyncStatusError,
    ApiConsentRequired: AsyncConsentRequired,
    ApiUnreachable: AsyncUnreachable,
    ApiTimeout: AsyncTimedOut,
}


class AsyncApiResponse(httpx.Response):
    """An ``httpx.Response`` whose errors hide secrets and say whether a retry may help."""

    verdict = RetryVerdict()
    limits = DEFAULT_LIMITS

    def __getstate__(self) -> dict[str, Any]:
        """The state that ``httpx`` pickles; of the request, which contains the token, only method and URL."""
        sent = strip_credentials(request_view(self.request))
        bare = httpx.Request(sent.method or "", sent.url or "")
        return {**super().__getstate__(), "_request": bare, "next_request": None}

    def raise_for_status(self) -> httpx.Response:
        """This response, when its status is below 400.

        Raises:
            ApiStatusError: the response is an error; also an ``httpx.HTTPStatusError``.
        """
        if self.status_code < 400:
            return self
        view = response_view(self)
        view.verdict = self.verdict
        raise to_httpx_error(status_error(view), self.request, self)

    def json(self, **kwargs: Any) -> Any:
        """The body read as JSON; ``kwargs`` are those of ``json.loads``.

        Raises:
            ApiNotJson: it is not JSON, often a login or maintenance page.
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
            ApiTimeout: it was incomplete after ``limits.seconds``, or stopped arriving.
            ApiUnreachable: the connection broke.
            ApiCallFailed: it does not match its ``Content-Encoding``.
        """
        try:
            await self.load(self.limits.seconds)
        except httpx.RequestError as error:
            raise self._translate(error) from public_cause(error_view(error))
        return self.content

    async def load(self, seconds: float) -> None:
        """Read the body into memory within ``seconds``; raises as ``httpx`` does, and where a limit is exceeded."""
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
        async for piece in self._decode():
            left -= len(piece)
            if left < 0:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    async def _decode(self) -> AsyncIterator[bytes]:
        """Yields the body without its codings, in pieces of bounded size."""
        try:
            decoder = Decoder(self.headers.get("Content-Encoding", ""))
            async for raw in self._read_raw():
                for piece in decoder.feed(raw):
                    yield piece
            decoder.finish()
        except BadCoding as error:
            raise httpx.DecodingError(str(error), request=self.request) from error

    async def _read_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Yields the body as it arrives. ``httpx`` lets an error of TLS through after the handshake."""
        try:
            async for raw in super().aiter_raw(chunk_size):
                yield raw
        except SSLError as error:
            raise httpx.ReadError(str(error), request=self.request) from error

    async def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As in ``httpx``; raises the errors of ``aiter_bytes``."""
        async for piece in self._translate_errors(self._read_raw(chunk_size)):
            yield piece

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Yields the body in pieces, as they arrive when the response is streamed; without limits.

        Raises:
            ApiUnreachable: the connection broke.
            ApiTimeout: nothing arrived within the time-out.
            ApiCallFailed: the body does not match its ``Content-Encoding``.
        """
        if hasattr(self, "_content"):
            pieces = super().aiter_bytes(chunk_size)
        else:
            pieces = _rechunk(self._decode(), chunk_size)
        async for piece in self._translate_errors(pieces):
            yield piece

    async def _translate_errors(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces:
                yield piece
        except httpx.RequestError as error:
            raise self._translate(error) from public_cause(error_view(error))

    def _translate(self, error: httpx.RequestError) -> ApiRequestFailed:
        if isinstance(error, ApiRequestFailed):
            return error
        view = error_view(error)
        failure = network_error(view, request_view(self.request), retryable=is_transient(view))
        return to_httpx_error(failure, self.request, foreign=type(error))


async def _rechunk(pieces: AsyncIterator[bytes], size: int | None) -> AsyncIterator[bytes]:
    """``pieces`` in chunks of ``size`` bytes, as ``httpx`` yields them; unchanged without a size."""
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
    """The error of a response that arrives too slowly."""
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
    """``error`` as an exception of ``httpx`` too, that of ``foreign`` if given; unchanged when no class matches."""
    known = _HTTPX_CLASSES.get(picklable_class(type(error)))
    if known is None:
        return error
    cls = add_library_class(known, foreign)
    made = cls.__new__(cls)
    made.args = error.args
    made.__dict__.update({k: v for k, v in vars(error).items() if k not in _LIVE})
    made.__dict__.update(_request=request, response=response)
    return made
