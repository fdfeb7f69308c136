"""Errors of an async session: those of ``failures`` that are the matching ``httpx`` exceptions too."""

from __future__ import annotations

from typing import Any

import httpx

from oauth_taskflow.api.async_views import response_view
from oauth_taskflow.api.failures import (
    ApiConsentRequired,
    ApiStatusError,
    ApiTimeout,
    ApiUnreachable,
    Verdict,
    status_error,
)
from oauth_taskflow.errors import ApiRequestFailed


class _Unpickled(ApiRequestFailed):
    """Leaves request and response, which hold the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        kept = {name: value for name, value in state.items() if name not in _LIVE}
        return rebuild, (cls, {**kept, "_request": None, "response": None})


_LIVE = frozenset({"request", "_request", "response"})


class AsyncStatusError(_Unpickled, ApiStatusError, httpx.HTTPStatusError):  # type: ignore[misc]  # request: of httpx
    """The API answered with an error status; ``response`` holds the answer."""


class AsyncConsentRequired(AsyncStatusError, ApiConsentRequired):  # type: ignore[misc]  # as above
    """The API wants a person to log in again, with more."""


class AsyncUnreachable(_Unpickled, ApiUnreachable, httpx.NetworkError):  # type: ignore[misc]  # as above
    """The API could not be reached, or broke off its answer."""


class AsyncTimedOut(_Unpickled, ApiTimeout, httpx.TimeoutException):  # type: ignore[misc]  # as above
    """The API did not answer in time."""


_TWINS: dict[type[ApiRequestFailed], type[ApiRequestFailed]] = {
    ApiStatusError: AsyncStatusError,
    ApiConsentRequired: AsyncConsentRequired,
    ApiUnreachable: AsyncUnreachable,
    ApiTimeout: AsyncTimedOut,
}


class AsyncApiResponse(httpx.Response):
    """An ``httpx.Response`` whose error hides secrets and says whether a retry may help."""

    verdict = Verdict()

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


def twin(
    error: ApiRequestFailed, request: httpx.Request, response: httpx.Response | None = None
) -> ApiRequestFailed:
    """``error`` as the ``httpx`` exception that it is too; itself when there is none."""
    cls = _TWINS.get(type(error))
    if cls is None:
        return error
    made = cls.__new__(cls)
    made.args = error.args
    made.__dict__.update({k: v for k, v in vars(error).items() if k not in _LIVE})
    made.__dict__.update(_request=request, response=response)
    return made
