"""What is put on a request so that the API lets it in: ``requests`` auth objects, one per kind of connection."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase
from requests.utils import rewind_body

from oauth_taskflow.api.failures import challenge_error
from oauth_taskflow.api.origins import AllowedOrigins, Origin
from oauth_taskflow.errors import ForeignOriginRefused
from oauth_taskflow.oauth.token import TokenSource
from oauth_taskflow.redaction import redact_url

# The token is good, another one would be refused just the same (RFC 6750 §3.1, RFC 9470 §3).
_NO_USE_REFRESHING = frozenset({"insufficient_scope", "insufficient_user_authentication"})


@runtime_checkable
class Credentials(Protocol):
    """What a session needs of its auth object; each is an ordinary ``requests`` auth object too."""

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put the credentials on ``request``, replacing those of an earlier try."""

    def renew(self, request: requests.PreparedRequest) -> bool:
        """After a 401 to ``request``: whether other credentials are on it now."""


def worth_refreshing(response: requests.Response) -> bool:
    """Whether another token may change this answer: a 401 that does not ask for more scope or another login."""
    return response.status_code == 401 and challenge_error(response) not in _NO_USE_REFRESHING


def rewind(request: requests.PreparedRequest) -> bool:
    """Whether the body can be sent again; a file goes back to where it began, a generator cannot."""
    body: object = request.body  # a file or generator too, whatever its annotation says
    if body is None or isinstance(body, str | bytes):
        return True
    try:
        rewind_body(request)
    except requests.exceptions.UnrewindableBodyError:
        return False
    return True


class _StaticAuth(AuthBase):
    """Credentials that never change: there is nothing to renew."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        self.apply(r)
        return r

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put nothing on ``request``."""

    def renew(self, request: requests.PreparedRequest) -> bool:  # noqa: ARG002 - the protocol's
        """Never: there is no other credential."""
        return False


class NoAuth(_StaticAuth):
    """No credentials at all, not even from ``.netrc``."""


class BearerAuth(_StaticAuth):
    """A fixed bearer token (RFC 6750 §2.1)."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put the token into ``Authorization``."""
        request.headers["Authorization"] = self._value


class BasicAuth(_StaticAuth):
    """User name and password (RFC 7617), encoded as UTF-8."""

    def __init__(self, username: str, password: str) -> None:
        pair = f"{username}:{password}".encode()
        self._value = f"Basic {base64.b64encode(pair).decode('ascii')}"

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put both into ``Authorization``."""
        request.headers["Authorization"] = self._value


class ApiKeyAuth(_StaticAuth):
    """An API key in the header or query parameter ``name``, after an optional literal ``prefix``."""

    def __init__(
        self,
        name: str,
        value: str,
        *,
        placement: Literal["header", "query"] = "header",
        prefix: str = "",
    ) -> None:
        self._name = name
        self._value = f"{prefix}{value}"
        self._placement = placement

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put the key where the API wants it; a next link that holds it already is left alone."""
        if self._placement == "header":
            request.headers[self._name] = self._value
            return
        parts = urlsplit(request.url or "")
        if self._name not in dict(parse_qsl(parts.query, keep_blank_values=True)):
            pair = f"{quote(self._name, safe='')}={quote(self._value, safe='')}"
            query = f"{parts.query}&{pair}" if parts.query else pair
            request.url = urlunsplit(parts._replace(query=query))


class OAuth2Auth(AuthBase):
    """A ``requests`` auth object that puts a fresh access token on every request.

    Works with bare ``requests.get(url, auth=OAuth2Auth(source))``: an answer of 401 refreshes once and is replayed
    once. The token goes to ``origins`` only; without any, to the origin of the request it is given to. ``header``
    and ``scheme`` are for APIs that want it elsewhere (``X-Shopify-Access-Token`` with an empty scheme).
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        origins: Iterable[str] = (),
    ) -> None:
        self.source = source
        self._header = header
        self._prefix = f"{scheme} " if scheme else ""
        urls = tuple(origins)
        self._origins = AllowedOrigins(urls) if urls else None

    def __repr__(self) -> str:
        return f"OAuth2Auth({self._header!r})"

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token on ``r`` and stand by for its answer; raises ``ForeignOriginRefused``."""
        allowed = self._origins or AllowedOrigins((r.url or "",))
        allowed.accept(r.url or "")
        self.apply(r)
        r.hooks.setdefault("response", []).append(partial(self._answered, allowed=allowed))
        return r

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put a usable token on ``request``, refreshed when needed."""
        self._put(request, self.source.token().access_token)

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Put a token other than the refused one on ``request``; False when ours was not what was refused."""
        sent = self._sent(request)
        if not sent:
            return False
        token = self.source.refused(sent).access_token
        self._put(request, token)
        return token != sent

    def _put(self, request: requests.PreparedRequest, token: str) -> None:
        request.headers[self._header] = f"{self._prefix}{token}"

    def _sent(self, request: requests.PreparedRequest) -> str:
        value = str(request.headers.get(self._header) or "")
        return value[len(self._prefix) :] if value.startswith(self._prefix) else ""

    def _answered(
        self, response: requests.Response, *, allowed: AllowedOrigins, **options: Any
    ) -> requests.Response:
        """The response hook of bare ``requests``: guards redirects and replays once after a 401."""
        request = response.request
        if response.is_redirect and self._header != "Authorization":
            self._guard_redirect(response, allowed)
        if (request.url or "") not in allowed or not worth_refreshing(response):
            return response
        _ = response.content  # frees the connection for the replay
        replay = request.copy()
        if not rewind(replay) or not self.renew(replay):
            return response
        adapter = getattr(response, "connection", None) or requests.Session().get_adapter(
            replay.url or ""
        )
        answer: requests.Response = adapter.send(replay, **options)
        answer.history = [*response.history, response]
        answer.request = replay
        return answer

    def _guard_redirect(self, response: requests.Response, allowed: AllowedOrigins) -> None:
        """``requests`` takes only ``Authorization`` off at a foreign origin; other headers would go along."""
        target = urljoin(response.url, response.headers["Location"])
        if target not in allowed:
            raise ForeignOriginRefused(
                f"The token in header {self._header} was not sent to a redirect's origin",
                where=f"at {redact_url(target)}",
                hint="List the origin in the connection's allowed_origins if it belongs to the API.",
            )


def origin_text(url: str) -> str:
    """The origin of ``url`` for messages and ``repr``: no path, no query, no user."""
    try:
        return str(Origin.of(url))
    except ValueError:
        return "<unreadable URL>"
