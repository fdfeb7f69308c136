"""Finds the page size that a request asks for under a name of public APIs, wherever in the request it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from oauth_taskflow.api.pull.paging_fields import plain_name
from oauth_taskflow.api.request import ApiRequest

_SIZES = frozenset(
    {
        "count",
        "first",
        "itemsperpage",
        "limit",
        "maxitems",
        "maxpagesize",
        "maxrecords",
        "maxresults",
        "pagelength",
        "pagelimit",
        "pagesize",
        "perpage",
        "resultsperpage",
        "rows",
        "size",
        "take",
        "top",
    }
)
# At so many rows public APIs cap a page that asks for more. Fewer are often the length of a whole list, such as 50 states.
CAPS = frozenset({100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000})
# The last name of page[size], filter[limit] and page.limit.
_LAST_NAME = re.compile(r"([\w$-]+)\W*")
# A name and a number in a text: JSON such as LoopBack's filter, GraphQL, SQL.
_IN_TEXT = re.compile(
    r"""(?<![\w$-])([A-Za-z$_][\w$-]*)["'\]]{0,2}[\s:=]{1,8}["']?(\d{1,9})(?![\w.])""", re.ASCII
)
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)


def find_asked_size(request: ApiRequest, rows: int) -> tuple[str, int] | None:
    """Returns the size of a full page with ``rows`` rows that ``request`` asks for, and its name as it is written there.

    A page is full, too, when it is as long as many APIs allow, and the request asks for more. None where neither is the case.
    """
    query = parse_qsl(request.path.partition("?")[2])
    parts = (*query, *request.params.items(), *request.form.items(), ("", request.json))
    sizes = [found for part in parts for found in _find_sizes(*part)]
    is_cap = rows in CAPS
    return next((s for s in sizes if s[1] == rows or (is_cap and s[1] > rows)), None)


def _find_sizes(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Yields the sizes in a value under ``name``, each with its name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _find_sizes(str(key), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _find_sizes(name, inner)
    elif type(value) is int or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        if _is_size(name):
            yield name, int(value)
    elif isinstance(value, str):
        found = _IN_TEXT.findall(value)
        yield from ((word, int(number)) for word, number in found if _is_size(word))


def _is_size(name: str) -> bool:
    words = _LAST_NAME.findall(name)
    return bool(words) and plain_name(words[-1]) in _SIZES
