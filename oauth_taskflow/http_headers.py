"""Readers of HTTP header fields that more than one protocol needs; no I/O.

The fields are ``WWW-Authenticate`` (RFC 9110 §11.6.1), ``Link`` (RFC 8288), ``Retry-After`` (RFC 9110 §10.2.3) and HTTP
dates (§5.6.7). The readers accept what the standards define and what servers write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from msgspec import Struct, field

from oauth_taskflow.urls import DEFAULT_PORTS

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(_TOKEN)
# Credentials in the older form, as in Negotiate, contain no parameters.
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_SEPARATORS = re.compile(r"[\s,]+")
_ESCAPED = re.compile(r"\\(.)")
_SECONDS = re.compile(r"-?\d+(\.\d+)?")
_BLANKS = " \t"
_LONGEST_WAIT = (
    100 * 365 * 86400.0
)  # a century, so that a date in the year 9999 can be added to another
# Seconds that servers are assumed to accept: a request is signed again for larger differences only.
TOLERATED_SKEW = 5.0
_FIRST_DATE, _LAST_DATE = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100
_DATE_RESOLUTION = 2.0  # the Date header has whole seconds and travelled for a while


class Challenge(Struct, frozen=True):
    """One authentication scheme that a server offers; scheme and parameter names are in lower case.

    The scheme is empty where a server sends parameters without one.
    """

    scheme: str
    params: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a ``WWW-Authenticate`` value (RFC 9110 §11.6.1); several fields are joined by commas.

    Commas between parameters may be missing. Text that belongs to no challenge is skipped. The first value of a
    repeated parameter counts.
    """
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(header):
        if gap := _SEPARATORS.match(header, at):
            at = gap.end()
        elif parameter := _PARAMETER.match(header, at):
            if not found:
                found.append(("", {}))
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(header, at):
            found.append((scheme[0].lower(), {}))
            old = _TOKEN68.match(header, scheme.end())
            at = old.end() if old else scheme.end()
        else:
            at += 1
    return tuple(Challenge(scheme, params) for scheme, params in found)


def find_refusal(header: str, scheme: str = "") -> Challenge:
    """The challenge with the reason of a refusal: the first with an ``error``, preferably of ``scheme``, else an empty one."""
    with_error = [one for one in parse_challenges(header) if one.params.get("error")]
    of_scheme = [one for one in with_error if one.scheme == scheme.lower()]
    return next(iter(of_scheme or with_error), Challenge(""))


def parse_http_date(text: str) -> float | None:
    """Seconds since the epoch from an HTTP date in any of its three forms; None when it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
        # The asctime form names no zone; RFC 9110 §5.6.7 defines it as UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def server_now(headers: Mapping[str, str], now: float) -> float:
    """The server's clock from its ``Date`` header, else ``now``; dates in the same response refer to that clock.

    A date that cannot be a clock counts as none.
    """
    date = parse_http_date(headers.get("date", ""))
    return date if date is not None and _FIRST_DATE < date < _LAST_DATE else now


def server_skew(headers: Mapping[str, str], now: float) -> float | None:
    """The server's clock minus ours in seconds, from its ``Date`` header; small differences count as 0.

    None where the date cannot be a clock: a device that starts in 1970, or a proxy that invents dates.
    """
    date = parse_http_date(headers.get("date", ""))
    if date is None or not _FIRST_DATE < date < _LAST_DATE:
        return None
    skew = date - now
    return skew if abs(skew) > _DATE_RESOLUTION else 0.0


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After`` (RFC 9110 §10.2.3) in seconds from ``now``; None when absent or unreadable.

    Reads whole seconds, fractions (Shopify sends ``2.0``) and HTTP dates. A date is compared with the server's
    ``Date``; one in the past gives zero. The result is negative only where the server wrote a negative number.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_WAIT)
    date = parse_http_date(text)
    return None if date is None else min(max(0.0, date - server_now(headers, now)), _LONGEST_WAIT)


class Link(Struct, frozen=True):
    """One link: its target as written, its relation types in lower case and its attributes.

    ``anchor`` is the resource that the link is about, as written; None when the link is about the page itself.
    """

    target: str
    rels: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    anchor: str | None = None

    def is_about(self, url: str) -> bool:
        """Whether the page at ``url`` is the context of the link (RFC 8288 §3.2)."""
        return self.anchor is None or _comparable(url, self.anchor) == _comparable(url)


class Links(Struct, frozen=True):
    """The links of a header; ``is_malformed`` says that the rest of it could not be read."""

    found: tuple[Link, ...]
    is_malformed: bool = False


class _Text:
    """The unread rest of a header value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def head(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip(self, characters: str) -> None:
        while self.head and self.head in characters:
            self.at += 1

    def take_until(self, characters: str) -> str:
        start = self.at
        while self.head and self.head not in characters:
            self.at += 1
        return self.text[start : self.at]


def parse_links(header: str) -> Links:
    """The links of a ``Link`` value, several joined fields included, by the algorithm of RFC 8288 appendix B.2.

    ``requests`` and ``httpx`` split the value at commas inside quotes and targets, so neither is used. The first value
    of a repeated parameter counts, and ``title*`` overrides ``title``. Braces and single quotes around a relation are
    removed: Shopify's documentation prints braces, and no relation begins with a quote.
    """
    text, found = _Text(header), list[Link]()
    while True:
        text.skip(_BLANKS + ",")
        if not text.head:
            return Links(tuple(found))
        if text.head != "<":
            return Links(tuple(found), is_malformed=True)
        text.at += 1
        target = text.take_until(">")
        if not text.head:
            return Links(tuple(found), is_malformed=True)
        text.at += 1
        parameters = _parameters(text)
        if parameters is None:
            return Links(tuple(found), is_malformed=True)
        found.append(_link(target, parameters))


def _link(target: str, parameters: list[tuple[str, str]]) -> Link:
    first: dict[str, str] = {}
    for name, value in parameters:
        first.setdefault(name, value)
    rels = first.get("rel", "").replace("\t", " ").split(" ")
    stars = {name[:-1]: value for name, value in first.items() if name.endswith("*")}
    attributes = {name: value for name, value in first.items() if not name.endswith("*")}
    attributes.update(
        {name: value for name, value in stars.items() if name not in {"rel", "anchor"}}
    )
    return Link(
        target.strip(),
        tuple(rel.strip("{}'").lower() for rel in rels if rel),
        attributes,
        first.get("anchor"),
    )


def _parameters(text: _Text) -> list[tuple[str, str]] | None:
    """Names, in lower case, and values (RFC 8288 appendix B.3); None when a quoted value has no end."""
    parameters: list[tuple[str, str]] = []
    while text.head:
        text.skip(_BLANKS)
        if text.head != ";":
            break
        text.at += 1
        text.skip(_BLANKS)
        name = text.take_until(_BLANKS + "=;,").lower()
        text.skip(_BLANKS)
        value: str | None = ""
        if text.head == "=":
            text.at += 1
            text.skip(_BLANKS)
            value = _read_quoted(text) if text.head == '"' else text.take_until(";,")
        if value is None:
            return None
        parameters.append((name, _decode_extended(value) if name.endswith("*") else value))
        text.skip(_BLANKS)
        if text.head in {",", ""}:
            break
    return parameters


def _read_quoted(text: _Text) -> str | None:
    """A quoted string (RFC 8288 appendix B.4); None when it has no end."""
    text.at += 1
    output = ""
    while text.head:
        output += text.take_until('\\"')
        if text.head == '"':
            text.at += 1
            return output
        text.at += 1
        output += text.head
        text.at += 1
    return None


def _decode_extended(value: str) -> str:
    """An extended value (RFC 8187 §3.2) such as ``UTF-8'de'n%c3%a4chstes``; unchanged when it cannot be read."""
    charset, _, rest = value.strip().partition("'")
    _, _, encoded = rest.partition("'")
    with suppress(LookupError, UnicodeDecodeError):
        return unquote_to_bytes(encoded).decode(charset) if encoded else value
    return value


def _comparable(url: str, reference: str = "") -> tuple[object, ...]:
    """The resource that ``reference`` names on the page at ``url``, for comparison.

    The scheme is left out: behind proxies that end TLS, servers write http for https.
    """
    try:
        parts = urlsplit(urljoin(url, reference))
        port = None if parts.port == DEFAULT_PORTS.get(parts.scheme) else parts.port
    except ValueError:
        return (reference,)
    return parts.hostname, port, parts.path or "/", parts.query, parts.fragment
