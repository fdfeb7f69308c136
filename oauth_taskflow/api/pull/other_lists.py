"""Finds the list that was probably meant where the path of the records is absent.

A list of mappings next to that place looks like the records under another name. Lists of links do not, and neither do those from
which the spec itself picks its next URL, total or flag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.path_roots import filtered_keys
from oauth_taskflow.api.pull.totals import read_announced_total
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.jmespath_roots import Keys

# The keys of a link in FHIR, HAL, PayPal and Siren.
_RELATIONS = frozenset({"rel", "relation"})
_TARGETS = frozenset({"href", "uri", "url"})


def find_other_list(
    body: Body, keys: Keys, options: PagingOptions, headers: Mapping[str, str]
) -> str | None:
    """Returns the dotted path of a list that looks like the records of ``body``, where those at ``keys`` are absent.

    None without one, and where the total that ``options`` name is exactly 0.
    """
    node, above = body.decode(), Keys()
    for key in keys:
        if not isinstance(node, dict) or not isinstance(node.get(key), dict):
            break
        node, above = node[key], (*above, key)
    lists = node.items() if isinstance(node, dict) else ()
    about_pages = set(_filtered_lists(options))
    found = (name for name, value in lists if _may_be_records(value))
    name = next((name for name in found if (*above, name) not in about_pages), None)
    if name is None or _announces_nothing(body, options, headers):
        return None
    return ".".join((*above, name))


def _filtered_lists(options: PagingOptions) -> Iterator[Keys]:
    """Yields the keys of each list in which ``options`` look for an item by what is in it: ``link[?rel=='next']``.

    An item that is found by its position, as in ``data[-1].id``, may well be a record.
    """
    written = [options.total, *(getattr(options, name) for name in options.path_options)]
    for option in written:
        path = getattr(option, "path", option)
        if isinstance(path, str):
            yield from filtered_keys(path)


def _may_be_records(value: Any) -> bool:
    items: Collection[Any] = value if isinstance(value, list) else ()
    return any(isinstance(item, dict) for item in items) and not all(map(_is_link, items))


def _is_link(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return not (_RELATIONS.isdisjoint(item) or _TARGETS.isdisjoint(item))


def _announces_nothing(body: Body, options: PagingOptions, headers: Mapping[str, str]) -> bool:
    total = None
    with suppress(InvalidRecord):  # the body is not a page
        total = read_announced_total(options.announced_total, body, headers)
    return total == 0 and not options.announced_total.approximate
