"""Errors of an async session: those of ``failures`` that are the matching ``httpx`` exceptions too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from oauth_taskflow.api.async_views import error_view, request_view, response_view
from oauth_taskflow.api.failures import (
    ApiCallFailed,
    ApiConsentRequired,
    ApiStatusError,
    ApiTimeout,
    ApiUnreachable,
    Verdict,
    also,
    not_json,
    plain_kind,
    status_error,
)
from oauth_taskflow.api.network_errors import is_transient, network_error, shown_cause
from oauth_taskflow.api.secrecy import to_pickle
from oauth_taskflow.errors import ApiRequestFailed


class _Unpickled(ApiRequestFailed):
    """Leaves request and response, which hold the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        kept = {name: value for name, value in state.items() if name not in _LIVE}
        return rebuild, (plain_kind(cls), {**kept, "_request": None, "response": None})


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


_TWINS: dict[type[ApiRequestFailed], type[ApiRequestFailed]] = {
    ApiCallFailed: AsyncCallFailed,
    ApiStatusError: AsyncStatusError,
    ApiConsentRequired: AsyncConsentRequired,
    ApiUnreachable: AsyncUnreachable,
    ApiTimeout: AsyncTimedOut,
}


class AsyncApiResponse(httpx.Response):
    """An ``httpx.Response`` whose error hides secrets and says whether a retry may help."""

    verdict = Verdict()

    def __getstate__(self) -> dict[str, Any]:
        """As ``httpx`` pickles it, but the request, which carries the token, is method and URL alone."""
        sent = to_pickle(request_view(self.request))
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
        raise twin(status_error(view), self.request, self)

    def json(self, **kwargs: Any) -> Any:
        """The body read as JSON; ``kwargs`` are those of ``json.loads``.

        Raises:
            ApiNotJson: it is something else, often a login or maintenance page.
        """
        try:
            return super().json(**kwargs)
        except ValueError as error:
            raise not_json(response_view(self)) from error

    async def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As ``httpx`` does, and raises as ``aiter_bytes`` here."""
        async for piece in self._typed(super().aiter_raw(chunk_size)):
            yield piece

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The body in pieces, as they come where the answer is streamed.

        Raises:
            ApiUnreachable: the connection broke in the middle.
            ApiTimeout: nothing came for as long as the time-out.
            ApiCallFailed: the body is not in its ``Content-Encoding``.
        """
        async for piece in self._typed(super().aiter_bytes(chunk_size)):
            yield piece

    async def _typed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces:
                yield piece
        except ApiRequestFailed:
            raise
        except httpx.RequestError as error:
            view = error_view(error)
            failure = network_error(view, request_view(self.request), retryable=is_transient(view))
            raise twin(failure, self.request, foreign=type(error)) from shown_cause(view)


def twin(
    error: ApiRequestFailed,
    request: httpx.Request,
    response: httpx.Response | None = None,
    *,
    foreign: type[BaseException] = BaseException,
) -> ApiRequestFailed:
    """``error`` as the ``httpx`` exception that it is too, that of ``foreign`` where given; itself when there is none."""
    known = _TWINS.get(plain_kind(type(error)))
    if known is None:
        return error
    cls = also(known, foreign)
    made = cls.__new__(cls)
    made.args = error.args
    made.__dict__.update({k: v for k, v in vars(error).items() if k not in _LIVE})
    made.__dict__.update(_request=request, response=response)
    return made
