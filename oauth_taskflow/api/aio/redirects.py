"""Redirects of an async session: the rules of ``redirects`` for ``httpx``."""

from __future__ import annotations

import httpx

from oauth_taskflow.api.aio.errors import to_httpx_error
from oauth_taskflow.api.aio.views import replayable, request_view
from oauth_taskflow.api.auth import Credentials
from oauth_taskflow.api.origins import AllowedOrigins, is_unambiguous
from oauth_taskflow.api.redirects import body_is_spent, endless, for_strangers
from oauth_taskflow.api.request_secrets import redact_request_url, secrets_of
from oauth_taskflow.errors import ForeignOriginRefused


class AsyncRedirects:
    """The hops of one request. ``bare`` once a hop has left the allowed origins: nothing is signed any more."""

    def __init__(
        self,
        first: httpx.Request,
        origins: AllowedOrigins,
        credentials: Credentials,
        *,
        most: int,
        leave_bare: bool,
    ) -> None:
        self._first = request_view(first)
        self._origins = origins
        self._credentials = credentials
        self._most = most
        self._leave_bare = leave_bare
        self.bare = False
        self.history: list[httpx.Response] = []

    def next_request(self, response: httpx.Response, following: httpx.Request) -> httpx.Request:
        """The request that ``response`` redirects to; ``following`` as ``httpx`` has made it.

        Raises:
            ForeignOriginRefused: the target is outside the allowed origins.
            ApiRequestFailed: too many hops, or the body cannot be sent again.
        """
        self.history.append(response)
        if len(self.history) > self._most:
            raise to_httpx_error(
                endless(self._first), response.request, foreign=httpx.TooManyRedirects
            )
        url = str(following.url.copy_with(fragment=None))
        if self._leaves(url, response.request.method):
            bare = for_strangers(self._credentials, url)
            return httpx.Request(following.method, bare, headers={"Accept": "*/*"})
        accepted = self._origins.accept(url, secrets=secrets_of(self._first))
        if following.stream is response.request.stream and not replayable(following):
            raise body_is_spent(self._first)
        following.url = httpx.URL(accepted)
        return following

    def _leaves(self, target: str, method: str) -> bool:
        """Whether this hop and all after it go without credentials."""
        if not self.bare and self._leave_bare and method in {"GET", "HEAD"}:
            try:
                self._origins.accept(target)
            except ForeignOriginRefused:
                self.bare = is_unambiguous(target)
        return self.bare


def unreadable(first: httpx.Request) -> ForeignOriginRefused:
    """Why a redirect of ``first`` is not followed that leads to what ``httpx`` cannot read."""
    view = request_view(first)
    return ForeignOriginRefused(
        "A redirect leads to what is no http or https URL",
        where=f"at {view.method} {redact_request_url(view)}",
    )
