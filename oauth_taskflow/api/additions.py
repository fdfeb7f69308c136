"""Adds to each request what the connection says besides its credentials: query parameters, members of the body, all secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import requests
from msgspec import field

from oauth_taskflow.api.auth import Credentials, NoAuth, StaticAuth
from oauth_taskflow.api.request_secrets import (
    NOTHING_HIDDEN,
    Remembered,
    redact_request_url,
    remember_more,
)
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import remove_param, supply_param

_FORM = "application/x-www-form-urlencoded"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# A shorter value, such as a version, is in other words by chance.
_SHORTEST = 6
_HINT = "Members of api_body go into a JSON object or a form; send one, or remove api_body from the connection."


class Additions(SecretValue, frozen=True):
    """``params`` of every request, members of every JSON object or form in ``body``, and secrets in the base URL."""

    params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    body: Hidden[Mapping[str, Any]] = field(default_factory=dict)
    url_secrets: Hidden[tuple[str, ...]] = ()

    def __bool__(self) -> bool:
        return bool(self.params or self.body or self.url_secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no message may show anywhere. Short ones are hidden by their parameter's name alone."""
        added = (*self.params.values(), *list_texts(self.body))
        return (*self.url_secrets, *(text for text in added if len(text) >= _SHORTEST))

    @property
    def names(self) -> tuple[str, ...]:
        """The query parameters whose values are secret."""
        return tuple(self.params)


def list_texts(value: Any) -> Iterator[str]:
    """Yields the texts in ``value``, at any depth, but not the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from list_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from list_texts(item)


class AddingAuth(StaticAuth):
    """The credentials ``inner`` together with ``additions``, which are put on a request first, so that both are signed.

    A parameter that the URL has already stays as it is: next links of an API repeat it.
    """

    def __init__(self, inner: Credentials, additions: Additions) -> None:
        self.inner = inner
        self._additions = additions

    def __repr__(self) -> str:
        return f"AddingAuth({self.inner!r})"

    @property
    def hides(self) -> Remembered:
        """Every added value, the secrets in the base URL, and the query parameters whose values are secret."""
        inner = hidden_by(self.inner)
        return Remembered(
            (*self._additions.secrets, *inner.secrets), (*self._additions.names, *inner.names)
        )

    @property
    def alone(self) -> Credentials:
        """Adds nothing to a request with credentials of its caller; still no message shows the base URL's secrets."""
        return AddingAuth(NoAuth(), Additions(url_secrets=self._additions.url_secrets))

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put additions and credentials on ``request``; those of an earlier attempt are replaced.

        Raises:
            ApiRequestFailed: the body takes no members.
        """
        self._remember(request)  # before the rest, whose errors may show the URL
        for name, value in self._additions.params.items():
            request.url = supply_param(request.url or "", name, value)
        if self._additions.body:
            add_members(request, self._additions.body)
        self.inner.apply(request)
        self._remember(request)

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Let ``inner`` put other credentials on ``request``; False without other credentials."""
        renewed = self.inner.renew(request)
        self._remember(request)
        return renewed

    def remove_from(self, url: str) -> str:
        """``url`` without the parameters of connection and credentials, for a foreign origin."""
        for name in self._additions.names:
            url = remove_param(url, name)
        remove = getattr(self.inner, "remove_from", None)
        return url if remove is None else str(remove(url))

    def _remember(self, request: requests.PreparedRequest) -> None:
        remember_more(request, self._additions.secrets, self._additions.names)


def add_members(request: requests.PreparedRequest, members: Mapping[str, Any]) -> None:
    """Put ``members`` into the JSON object or form of ``request``, replacing those of the same name.

    Other members keep their bytes. A request that may carry a body and has none gets a JSON object; a GET gets none.

    Raises:
        ApiRequestFailed: the body is a list, a file or a stream.
    """
    body: Any = request.body
    kind = str(request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if body is None or body in ("", b""):
        if (request.method or "").upper() in _WITH_BODY:
            request.headers["Content-Type"] = "application/json"
            _set_body(request, msgspec.json.encode(members))
        return
    if not isinstance(body, str | bytes):
        raise _refusal(request, "a stream")
    raw = body.encode() if isinstance(body, str) else body
    if kind == _FORM:
        _set_body(request, _add_to_form(raw.decode(), members))
        return
    try:
        known = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise _refusal(request, "neither a JSON object nor a form") from None
    _set_body(request, msgspec.json.encode({**known, **members}))


def _add_to_form(text: str, members: Mapping[str, Any]) -> bytes:
    kept = [pair for pair in parse_qsl(text, keep_blank_values=True) if pair[0] not in members]
    added = [(name, as_form_text(value)) for name, value in members.items()]
    return urlencode([*kept, *added]).encode()


def as_form_text(value: Any) -> str:
    """``value`` as a form carries it: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _set_body(request: requests.PreparedRequest, body: bytes) -> None:
    request.body = body
    request.headers["Content-Length"] = str(len(body))


def _refusal(request: requests.PreparedRequest, what: str) -> ApiRequestFailed:
    return ApiRequestFailed(
        f"The connection adds members to each body (api_body), and this body is {what}",
        where=f"at {request.method} {redact_request_url(request)}",
        hint=_HINT,
    )


def hidden_by(auth: object) -> Remembered:
    """Returns what a message about any URL must hide with these credentials: a next link may repeat a secret."""
    hides: Remembered = getattr(auth, "hides", NOTHING_HIDDEN)
    return hides


def credentials_of_caller(auth: object) -> Credentials:
    """Returns what a session with ``auth`` puts on requests that have other credentials already."""
    alone: Credentials | None = getattr(auth, "alone", None)
    return NoAuth() if alone is None else alone
