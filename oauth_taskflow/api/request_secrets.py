"""The secrets of a request, remembered on it so that messages and pickles never contain them.

Names of headers and parameters are not enough: an API may expect its key as ``?k=…``, and may repeat it in an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import requests
from requests.structures import CaseInsensitiveDict

from oauth_taskflow.errors import ApiRequestFailed, printable
from oauth_taskflow.record_values import list_hidden_params
from oauth_taskflow.redaction import REDACTED, redact_text, redact_url, remove_secrets
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import remove_param, replace_param

_MARK = "_oauth_taskflow_secrets"
# Shorter secrets occur in words by chance; as the value of a parameter they are still hidden.
_SHORTEST_IN_TEXT = 6
_LAST_IN_LATIN_1 = "\xff"


class Remembered(SecretValue, frozen=True):
    """The secrets of a request, hidden from its ``repr`` and ``vars``, and the query parameters whose values are secret."""

    secrets: Hidden[tuple[str, ...]] = ()
    names: tuple[str, ...] = ()


NOTHING_HIDDEN = Remembered()


def remember_secrets(
    request: requests.PreparedRequest, *secrets: str, names: tuple[str, ...] = ()
) -> None:
    """Remember ``secrets`` on ``request``, so that no message about it or its response shows them.

    Values of the query parameters ``names`` are secret too, however short they are.
    """
    setattr(request, _MARK, Remembered(secrets, names))


def read_secrets(request: requests.PreparedRequest) -> Remembered:
    """What ``remember_secrets`` has noted on ``request``."""
    found: Remembered = getattr(request, _MARK, NOTHING_HIDDEN)
    return found


def remember_more(
    request: requests.PreparedRequest, secrets: Iterable[str], names: Iterable[str]
) -> None:
    """Remember ``secrets`` and ``names`` besides those that ``request`` has already."""
    known = read_secrets(request)
    kept = Remembered(
        tuple(dict.fromkeys((*known.secrets, *secrets))),
        tuple(dict.fromkeys((*known.names, *names))),
    )
    setattr(request, _MARK, kept)


def secrets_of(request: requests.PreparedRequest) -> tuple[str, ...]:
    """The secrets that were put on ``request``."""
    return read_secrets(request).secrets


def strip_url(request: requests.PreparedRequest, url: str | None = None) -> str:
    """``url`` (default: that of ``request``) without the credentials of ``request`` and otherwise unchanged."""
    url = url or request.url or ""
    for name in read_secrets(request).names:
        url = replace_param(url, name, REDACTED)
    return remove_secrets(url, _long_enough(secrets_of(request)))


def take_secrets_out(request: requests.PreparedRequest, found: object) -> object:
    """Returns ``found`` in a response without what ``request`` was authorised by, which every request gets again.

    A link that repeats the parameters of its request loses those; secrets elsewhere in a text are replaced.
    """
    if not isinstance(found, str):
        return found
    for name in read_secrets(request).names:
        found = remove_param(found, name)
    return remove_secrets(found, _long_enough(secrets_of(request)))


def strip_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The part of ``request`` that may leave this process: method and URL, without its credentials."""
    bare = requests.PreparedRequest()
    bare.method, bare.url = request.method, strip_url(request)
    bare.headers = CaseInsensitiveDict()
    return bare


def put_header(request: requests.PreparedRequest, name: str, value: str) -> None:
    """Set the header ``name``, whose value is or contains a secret.

    Raises:
        ApiRequestFailed: HTTP cannot carry the value (RFC 9110 §5.5). The HTTP libraries would quote it in their errors.
    """
    if not value.isprintable() or not (value.isascii() or max(value) <= _LAST_IN_LATIN_1):
        raise ApiRequestFailed(
            f"The credentials cannot be sent: a line break, control character or letter beyond Latin-1 is in header {name}",
            where=f"at {request.method} {redact_request_url(request)}",
            hint="Put the secret into the connection again, or look at what the token endpoint returns.",
        )
    request.headers[name] = value


def redact_request_url(request: requests.PreparedRequest, url: str | None = None) -> str:
    """``url`` (default: that of ``request``) without the credentials of ``request`` and other secrets."""
    names = {*read_secrets(request).names, *list_hidden_params()}
    return redact_url(url or request.url or "", _secrets(request), names)


def redact_request_text(request: requests.PreparedRequest, text: str) -> str:
    """``text`` of the response to ``request`` without its credentials and other secrets, safe for a terminal."""
    return printable(redact_text(text, _long_enough(_secrets(request))))


def _long_enough(secrets: Iterable[str]) -> list[str]:
    return [secret for secret in secrets if len(secret) >= _SHORTEST_IN_TEXT]


def _secrets(request: requests.PreparedRequest) -> list[str]:
    headers: Mapping[str, str] = request.headers or {}
    sent = [*str(headers.get("Authorization", "")).split()[1:], str(headers.get("DPoP", ""))]
    return [part for part in (*secrets_of(request), *sent) if part]
