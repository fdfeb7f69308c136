"""The keys and lists that a JMESPath starts from.

They distinguish null at a path that is there from null because the path is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jmespath.parser import ParsedResult

from oauth_taskflow.api.decoders.json import Body, compile_path
from oauth_taskflow.jmespath_roots import PROJECTING, Keys, iter_roots

_NOTHING = (b"null", b"{}", b'""')
_PROJECTIONS = frozenset({"projection", "filter_projection", "value_projection"})
# Functions whose result has the same items as their first argument.
_REORDER = frozenset({"sort", "sort_by", "reverse", "to_array", "not_null"})


@dataclass(frozen=True)
class Source:
    """The list that a JMESPath takes apart first: ``data.items`` in ``data.items[?on]``.

    ``is_expanded``: an item may become several records, as ``lines`` within ``items`` in ``items[].lines[]``.
    """

    expression: ParsedResult
    is_expanded: bool


def has_root(body: Body, path: str) -> bool:
    """Whether ``body`` has any of the plain keys that ``path`` starts from; null counts.

    A path that starts from the whole body, such as ``[*].row``, needs a list there.
    """
    return any(
        body.dig(keys) is not None if keys else body.json.startswith(b"[")
        for keys in root_keys(path)
    )


def may_be_null(body: Body, path: str) -> bool:
    """Whether ``path`` may rightly give null: it starts from a list or from nothing, not from a text or mapping."""
    found = (body.dig(keys) if keys else body.json for keys in root_keys(path))
    raws = [b"null" if value is None else bytes(value) for value in found]
    return all(raw[:1] == b"[" or raw in _NOTHING for raw in raws)


@lru_cache(maxsize=256)
def root_keys(path: str) -> tuple[Keys, ...]:
    """Returns the plain keys that ``path`` starts from: ``data.items`` in ``data.items[*].row``."""
    return tuple(dict.fromkeys(iter_roots(compile_path(path).parsed)))


@lru_cache(maxsize=256)
def has_default(path: str) -> bool:
    """Whether the author wrote a default for an absent path: ``data || `[]` ``."""
    node = compile_path(path).parsed
    return bool(node["type"] == "or_expression" and node["children"][-1]["type"] == "literal")


@lru_cache(maxsize=256)
def filtered_keys(path: str) -> tuple[Keys, ...]:
    """Returns the plain keys of each list of the body that ``path`` filters: ``link`` in ``link[?rel=='next'].url | [0]``."""
    found = _iter_filtered(compile_path(path).parsed)
    return tuple(keys for node in found for keys in iter_roots(node))


def _iter_filtered(node: Any) -> Iterator[Any]:
    """Yields the node of each list that is filtered, where it starts from the body."""
    kind, children = node["type"], node["children"]
    if kind == "filter_projection":
        yield children[0]
    first_only = kind in PROJECTING or kind == "subexpression"
    for child in children[:1] if first_only else children:
        yield from _iter_filtered(child)


@lru_cache(maxsize=256)
def leading_steps(path: str) -> tuple[str | int, ...]:
    """Returns the keys and positions that ``path`` begins with: ``results, 0, series`` in ``results[0].series[].values``."""
    return tuple(_iter_steps(compile_path(path).parsed))


def _iter_steps(node: Any) -> Iterator[str | int]:
    kind, children = node["type"], node["children"]
    if kind in {"field", "index"}:
        yield node["value"]
    elif kind in {"subexpression", "index_expression"}:
        for child in children:
            yield from _iter_steps(child)
    elif kind in PROJECTING:
        yield from _iter_steps(children[0])


@lru_cache(maxsize=256)
def find_source(path: str) -> Source | None:
    """Returns the list that ``path`` takes apart; None when the path only finds values as the API sent them."""
    found = _find_projection(compile_path(path).parsed)
    return None if found is None else Source(ParsedResult(path, found[0]), found[1])


@lru_cache(maxsize=256)
def find_member(path: str) -> str | None:
    """Returns the key that ``path`` takes of each item of its list: ``node`` in ``edges[].node``; None without one or with a filter."""
    return None if filtered_keys(path) else _find_member(compile_path(path).parsed)


def _find_member(node: Any) -> str | None:
    taken = _find_taken(node)
    while taken is not None and taken["type"] == "subexpression":
        taken = taken["children"][0]
    return taken["value"] if taken is not None and taken["type"] == "field" else None


@lru_cache(maxsize=256)
def find_inner_keys(path: str) -> Keys:
    """Returns the keys from each item of the list to the list within it: ``lines``, ``data`` in ``data[].lines.data[]``.

    Empty where the path takes no list of each item, or filters.
    """
    source = find_source(path)
    if source is None or not source.is_expanded or filtered_keys(path):
        return ()
    taken = _find_taken(compile_path(path).parsed)
    return () if taken is None else next(iter_roots(taken), ())


def _find_taken(node: Any) -> Any:
    """Returns the node of what the path takes of each item of its first list; None where it takes the item itself."""
    kind, children = node["type"], node["children"]
    if kind in {"flatten", "subexpression"}:
        return _find_taken(children[-1])
    if kind not in _PROJECTIONS:
        return None
    items, taken = children[:2]
    return _find_taken(items) or (None if taken["type"] == "identity" else taken)


def _find_projection(node: Any) -> tuple[Any, bool] | None:
    """Returns the node of the list, and whether the rest of the path expands its items."""
    kind, children = node["type"], node["children"]
    if kind in _PROJECTIONS:
        return _find_projection(children[0]) or (children[0], False)
    if kind == "flatten":
        within = _find_projection(children[0])
        return (node, False) if within is None else (within[0], True)
    if kind == "pipe":
        return _find_in_pipe(*children)
    if kind == "subexpression":
        within = _find_projection(children[-1])
        return within and ({"type": kind, "children": [*children[:-1], within[0]]}, within[1])
    if kind == "or_expression" or (kind == "function_expression" and node["value"] in _REORDER):
        return _find_projection(children[0])
    return None


def _find_in_pipe(left: Any, right: Any) -> tuple[Any, bool] | None:
    before, after = _find_projection(left), _find_projection(right)
    if before is not None:
        keeps_items = after is not None and after[0]["type"] in {"identity", "current"}
        return before[0], before[1] or not keeps_items
    return None if after is None else ({"type": "pipe", "children": [left, after[0]]}, after[1])
