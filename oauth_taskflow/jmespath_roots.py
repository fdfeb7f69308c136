"""The fields that a parsed JMESPath starts from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Keys = tuple[str, ...]
PROJECTING = frozenset(
    {
        "projection",
        "value_projection",
        "filter_projection",
        "flatten",
        "pipe",
        "index_expression",
    }
)
"""Kinds of node that take their first child apart."""


def iter_roots(node: Any) -> Iterator[Keys]:
    """Yields the plain keys that the parsed JMESPath ``node`` starts from; none for the whole value."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield (node["value"],)
    elif kind in {"identity", "current"}:
        yield ()
    elif kind == "subexpression":
        yield from _join_keys(children)
    elif kind in PROJECTING:
        yield from iter_roots(children[0])
    elif kind not in {"literal", "expref"}:
        for child in children:
            yield from iter_roots(child)


def _join_keys(children: list[Any]) -> Iterator[Keys]:
    """Yields the keys of ``a.b``; a mapping built from values (``a.{b: c}``) adds no key."""
    keys: Keys = ()
    for child in children:
        if child["type"] == "field":
            keys += (child["value"],)
            continue
        if child["type"] in PROJECTING or not keys:
            yield from (keys + more for more in iter_roots(child))
        else:
            yield keys
        return
    yield keys


def list_alternatives(node: Any) -> list[list[Keys]]:
    """Returns what each side of ``a || b`` starts from, as ``iter_roots`` yields it; one list for every other ``node``."""
    if node["type"] != "or_expression":
        return [list(iter_roots(node))]
    return [found for child in node["children"] for found in list_alternatives(child)]
