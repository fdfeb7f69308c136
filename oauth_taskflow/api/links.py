"""The ``Link`` header (RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TARGET = re.compile(r"[\s,]*<([^>]*)>")
_PARAM = re.compile(r"\s*;\s*([^\s=;,]+)\s*(?:=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;,]*))?")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Link:
    """One link: its target as written, its relation types in lower case and its attributes."""

    target: str
    rels: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


def parse_links(header: str) -> list[Link]:
    """The links of a ``Link`` header value, several joined headers included; what is no link is passed over.

    Names are lower-cased, the first of a repeated parameter counts (RFC 8288 §3), and braces around a relation, as
    Shopify's documentation prints them, are taken off.
    """
    links = []
    position = 0
    while target := _TARGET.search(header, position):
        position = target.end()
        attributes: dict[str, str] = {}
        while param := _PARAM.match(header, position):
            position = param.end()
            attributes.setdefault(param[1].lower().rstrip("*"), _unquoted(param[2] or ""))
        rels = tuple(rel.strip("{}").lower() for rel in attributes.get("rel", "").split())
        links.append(Link(target[1].strip(), rels, attributes))
    return links


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
