"""Removes secrets from URLs, parameters and free text before anything is logged or raised."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from oauth_taskflow.errors import printable

REDACTED = "***"

_SENSITIVE = re.compile(
    r"secret|passw|token|assertion|authorization|api[_-]?key|apikey|access[_-]?key|private[_-]?key"
    r"|credential|signature|proof|^sig$|cookie|verifier|(^|auth_)code$|^key$|^jwt$|dpop",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{6,}")
# Every JWT, signed or encrypted, begins with these letters (RFC 7515 §3.3).
_JWT = re.compile(r"\beyJ[\w-]{8,16384}\.[\w-]*(?:\.[\w-]*){1,3}")
# The match starts at the name and looks a bounded distance ahead, so that long texts of servers cost linear time.
_ASSIGNMENT = re.compile(
    r"(?i)((?:secret|passw|token|assertion|api[_-]?key|private[_-]?key)[\w.-]{0,64}[\"']?\s*[:=]\s*[\"']?)"
    r"([^\s\"'&,;}]{3,})"
)
# Logs print multi-line keys one line at a time: a line of base64 long enough to use, or a long line of other text.
_LINE = re.compile(r"^(?:[A-Za-z0-9+/]{16,}={0,2}|(?!-----)[^\r\n]{40,})(?=\r?$)", re.MULTILINE)
# Shorter texts are in others by chance: a password "1" would hide every digit 1 of a log. Airflow does not mask them either
# (``[logging] min_length_masked_secret``).
SHORTEST_SECRET = 5
# Shorter secrets occur in host names and paths by chance.
_SHORTEST_IN_URL = 6
# Reasons of libraries may be whole pages.
_SEARCHED = 20_000
# These names contain "token" but hold no secret, and messages need their values.
_HARMLESS = frozenset({"token_type", "token_url", "token_type_hint", "next_page_token_param"})


def is_sensitive_name(name: str) -> bool:
    """Whether a header, parameter or field of this name usually holds a secret."""
    return name.lower() not in _HARMLESS and _SENSITIVE.search(name) is not None


@lru_cache(maxsize=16)  # asked for the same few secrets with every page
def secret_forms(secret: str) -> tuple[str, ...]:
    """The texts in which ``secret`` may appear, longest first; none for one of fewer than ``SHORTEST_SECRET`` characters.

    They are the secret itself, its two URL encodings, and base64 in both alphabets. Each line of a multi-line secret,
    such as a private key, is one too, in plain form only.
    """
    if len(secret) < SHORTEST_SECRET:
        return ()
    raw = secret.encode()
    lines = _LINE.findall(secret) if "\n" in secret else []
    # A form without padding is found in a padded text too. Fewer forms cost Airflow's masker less time.
    encoded = {to(raw).decode().rstrip("=") for to in (base64.b64encode, base64.urlsafe_b64encode)}
    quoted = {quote(secret, safe=""), quote_plus(secret)}
    return tuple(sorted({secret, *quoted, *encoded, *lines}, key=len, reverse=True))


def remove_secrets(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the named ``secrets`` in any form; text that only resembles a secret stays."""
    for secret in secrets:
        for form in secret_forms(secret):
            text = text.replace(form, REDACTED)
    return text


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the named ``secrets`` in any form, bearer values, JWTs and ``secret=…`` assignments."""
    text = remove_secrets(text, secrets)
    text = _JWT.sub(REDACTED, _BEARER.sub(rf"\1 {REDACTED}", text))
    return _ASSIGNMENT.sub(rf"\g<1>{REDACTED}", text)


def redact_line(text: str, longest: int) -> str:
    """``text`` as one line of at most ``longest`` characters, without secrets. Half a secret is not recognised: it is cut last."""
    return redact_text(" ".join(printable(text[:_SEARCHED]).split()))[:longest]


def redact_url(url: str, secrets: Iterable[str] = (), names: Collection[str] = ()) -> str:
    """``url`` without userinfo, fragment, values of sensitive query parameters and of ``names``, and ``secrets`` anywhere.

    Terminal control characters are removed too, because servers write the URLs of next pages and redirects.
    """
    named = frozenset(secrets)
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "<unreadable URL>"
    host = parts.netloc.rpartition("@")[2]
    hidden = [
        (k, REDACTED if k in names or is_sensitive_name(k) or v in named else v) for k, v in query
    ]
    shown = printable(urlunsplit((parts.scheme, host, parts.path, urlencode(hidden, safe="*"), "")))
    return remove_secrets(shown, (secret for secret in named if len(secret) >= _SHORTEST_IN_URL))


def redact_address(url: str) -> str:
    """``url`` as ``redact_url`` returns it, without its scheme, so that Airflow's masker leaves it readable.

    Airflow masks the value of every extra key whose name contains "token", wherever the value occurs in a log. It
    would replace a whole ``token_url`` by ``***`` (``airflow.sdk.execution_time.context``, through
    ``Connection.extra_dejson``).
    """
    return redact_url(url).partition("://")[2] or redact_url(url)
