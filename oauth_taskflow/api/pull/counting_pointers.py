"""Finds out whether the pointers to the next page count rows or pages: then they are offsets or page numbers in disguise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from oauth_taskflow.api.decoders.json import find_in
from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.marks import Counters
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.paging_fields import plain_name
from oauth_taskflow.api.request import ApiRequest

# Parameters of this name are numbers of rows or pages, whatever the records hold.
_NAMES = frozenset(
    {
        *("offset", "pageoffset", "skip", "start", "startat", "startindex", "startposition"),
        *("p", "page", "pageindex", "pageno", "pagenum", "pagenumber"),
    }
)
_BRACKETS = str.maketrans("", "", "[]")
# Under other names, one number may be as high as a count by chance.
_FEWEST_POINTERS = 2
_NUMBER = re.compile(r"\d{1,18}")


class CountingPointers:
    """Compares the pointers of one sequence with the numbers of rows and pages that were read."""

    def __init__(self, first: ApiRequest, options: PagingOptions) -> None:
        is_from_api = options.ends_by == "pointer" and options.may_shift_pages
        self._options = options if is_from_api else None
        self._before = dict(_find_numbers(first, options)) if is_from_api else {}
        self.state = Counters(counts=options.has_shifting_pages)

    def restore(self, state: Counters) -> None:
        """Takes what an earlier process found; its last pointer is not known, so that no number counts as an old one."""
        if self._options is not None:
            self.state = state
        self._before = {}

    def advance(self, request: ApiRequest, page: PageView) -> None:
        """Takes the ``request`` that follows ``page``."""
        earlier = self.state.found
        if self._options is None or (earlier is not None and not earlier):
            return
        numbers = dict(_find_numbers(request, self._options))
        new = {name: number for name, number in numbers.items() if number != self._before.get(name)}
        self._before = numbers
        here = frozenset(_find_counters(new, page))
        found = here if earlier is None else here & earlier
        is_shown = self.state.is_shown or not _is_of_last_record(new, found, page)
        is_named = any(plain_name(name).translate(_BRACKETS) in _NAMES for name, _ in found)
        is_sure = is_named or (is_shown and page.index + 1 >= _FEWEST_POINTERS)
        self.state = Counters(found, is_shown, counts=bool(found) and is_sure)


def _find_numbers(request: ApiRequest, options: PagingOptions) -> Iterator[tuple[str, int]]:
    """Yields the whole numbers in the query of ``request``, and the cursor in its body."""
    values = [*parse_qsl(request.path.partition("?")[2]), *request.params.items()]
    cursor = options.sent_names.get("token")
    if cursor and options.place == "body":
        values.append((cursor, request.form.get(cursor) or find_in(request.json, cursor)))
    for name, value in values:
        if type(value) is int or (isinstance(value, str) and _NUMBER.fullmatch(value)):
            yield name, int(value)


def _find_counters(numbers: dict[str, int], page: PageView) -> Iterator[tuple[str, str]]:
    """Yields each of the ``numbers`` behind ``page`` that may count, and what."""
    pages = page.index + 1
    counts = {
        "rows": page.rows_so_far,
        "rows from 1": page.rows_so_far + 1,
        "rows of full pages": pages * page.first_rows,
        "pages": pages,
        "pages from 1": pages + 1,
    }
    for name, number in numbers.items():
        yield from ((name, what) for what, count in counts.items() if number == count)


def _is_of_last_record(
    numbers: dict[str, int], found: frozenset[tuple[str, str]], page: PageView
) -> bool:
    """Whether the last record holds each number that was ``found``, so that it may be a key of it."""
    if not page.received:
        return True
    text = encode(page.received[-1]).decode()
    return all(re.search(rf"(?<!\d){numbers[name]}(?!\d)", text) for name, _ in found)
