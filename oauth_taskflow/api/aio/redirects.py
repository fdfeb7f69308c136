"""Redirects of an async session: the rules of ``api.redirects`` for ``httpx``."""

from __future__ import annotations

import httpx

from oauth_taskflow.api.aio.errors import to_httpx_error
from oauth_taskflow.api.aio.views import can_replay, request_view
from oauth_taskflow.api.auth import Credentials
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.api.redirects import (
    OriginExit,
    body_replay_error,
    endless_redirect_error,
    strip_query,
)
from oauth_taskflow.api.request_secrets import redact_request_url, secrets_of
from oauth_taskflow.errors import ForeignOriginRefused


class AsyncRedirects(OriginExit):
    """The hops of one request, at most ``most``."""

    def __init__(
        self,
        first: httpx.Request,
        origins: AllowedOrigins,
        credentials: Credentials,
        *,
        most: int,
        leave_bare: bool,
    ) -> None:
        super().__init__(origins, credentials, permitted=leave_bare)
        self._first = request_view(first)
        self._most = most
        self.history: list[httpx.Response] = []

    def next_request(self, response: httpx.Response, following: httpx.Request) -> httpx.Request:
        """The request that ``response`` redirects to; ``following`` is the one that ``httpx`` has built.

        Raises:
            ForeignOriginRefused: the target is outside the allowed origins.
            ApiRequestFailed: too many hops, or the body cannot be sent again.
        """
        self.history.append(response)
        if len(self.history) > self._most:
            error = endless_redirect_error(self._first)
            raise to_httpx_error(error, response.request, foreign=httpx.TooManyRedirects)
        url = str(following.url.copy_with(fragment=None))
        if self.leaves(url, response.request.method):
            bare = strip_query(self._credentials, url)
            return httpx.Request(following.method, bare, headers={"Accept": "*/*"})
        accepted = self._origins.accept(url, secrets=secrets_of(self._first))
        if following.stream is response.request.stream and not can_replay(following):
            raise body_replay_error(self._first)
        following.url = httpx.URL(accepted)
        return following


def unreadable_redirect_error(first: httpx.Request) -> ForeignOriginRefused:
    """The error of a redirect of ``first`` whose target ``httpx`` cannot read."""
    view = request_view(first)
    return ForeignOriginRefused(
        "A redirect leads to an address that is not an http or https URL",
        where=f"at {view.method} {redact_request_url(view)}",
    )
