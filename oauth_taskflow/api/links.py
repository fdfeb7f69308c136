"""The ``Link`` header, by the algorithms of RFC 8288 appendix B.

No library that is kept does this: ``requests`` and ``httpx`` split at commas inside quotes and targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

_BLANKS = " \t"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Link:
    """One link: its target as written, its relation types in lower case and its attributes.

    ``anchor`` is the place that the link is about when that is not the page, as written; None without one.
    """

    target: str
    rels: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    anchor: str | None = None

    def is_about(self, url: str) -> bool:
        """Whether the page at ``url`` is the context of the link (RFC 8288 §3.2)."""
        return self.anchor is None or _place(url, self.anchor) == _place(url)


@dataclass(frozen=True)
class Links:
    """The links of a header; ``is_malformed`` says that its rest could not be read."""

    found: tuple[Link, ...]
    is_malformed: bool = False


class _Text:
    """What is left to parse."""

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
    """The links of a ``Link`` header value, several joined headers included (appendix B.2).

    Of a repeated parameter the first counts, and ``title*`` goes before ``title``. Braces and single quotes
    around a relation are taken off: Shopify's documentation prints the former, and no relation begins with the latter.
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
    """Names, in lower case, and values (appendix B.3); None when a quoted value has no end."""
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
            value = _quoted(text) if text.head == '"' else text.take_until(";,")
        if value is None:
            return None
        parameters.append((name, _decoded(value) if name.endswith("*") else value))
        text.skip(_BLANKS)
        if text.head in {",", ""}:
            break
    return parameters


def _quoted(text: _Text) -> str | None:
    """A quoted string (appendix B.4); None when it has no end."""
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


def _decoded(value: str) -> str:
    """An extended value (RFC 8187 §3.2): ``UTF-8'de'n%c3%a4chstes``; as it is when it cannot be read."""
    charset, _, rest = value.strip().partition("'")
    _, _, encoded = rest.partition("'")
    with suppress(LookupError, UnicodeDecodeError):
        return unquote_to_bytes(encoded).decode(charset) if encoded else value
    return value


def _place(url: str, reference: str = "") -> tuple[object, ...]:
    """Where ``reference`` leads from ``url``, for comparison.

    The scheme is left out: behind proxies that end TLS, servers write http for https.
    """
    try:
        parts = urlsplit(urljoin(url, reference))
        port = None if parts.port == _PORTS.get(parts.scheme) else parts.port
    except ValueError:
        return (reference,)
    return parts.hostname, port, parts.path or "/", parts.query, parts.fragment
