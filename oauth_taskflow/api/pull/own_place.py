"""What numbered pages say about their own place: that page one has a page before it, and by which numbers they call themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.paging_fields import (
    BACK,
    OWN_NUMBERS,
    PREVIOUS_PAGE_HEADER,
    find_places,
    is_pointer,
)
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.http_headers import parse_links


class OwnPlace:
    """Compares what the pages of one sequence by number or offset say about their place with the place in which they came.

    A field counts as the number of its page once it grew by one from one page to the next. The first page after a pull was cut
    off is not compared.
    """

    def __init__(self, options: PagingOptions, warn: Warn) -> None:
        self._is_numbered = options.has_shifting_pages
        self._warn = warn
        # Field → how much higher it is than the place of its page; None before the first page, and for offsets.
        self._shifts: dict[str, int] | None = None
        self._shown: set[str] = set()
        self._has_numbers = "number" in options.sent_names

    def check(self, page: PageView) -> None:
        """Warns when ``page`` is page one and not the first, or calls itself another one than was asked for; once of each."""
        if not self._is_numbered or page.rows == 0:
            return
        if page.index == 0:
            sign = next(_find_signs_of_before(page), None)
            if sign is not None:
                self._warn(
                    f"Page 1 says that a page comes before it ({sign}) {page.where}. If it is right, records are missing from this "
                    "output: correct start in paginate, and the parameters of the request."
                )
        if self._has_numbers and self._shifts != {}:
            self._compare_numbers(page)

    def _compare_numbers(self, page: PageView) -> None:
        found = {
            f"{place.path}{number.key}": number.value - page.index
            for place in find_places(page)
            for number in place.find_numbers(OWN_NUMBERS)
        }
        if self._shifts is None:
            self._shifts = found
            return
        self._shown |= {key for key, shift in self._shifts.items() if found.get(key) == shift}
        wrong = next((k for k in self._shown if k in found and found[k] != self._shifts[k]), None)
        self._shifts = {key: self._shifts[key] for key in self._shown}
        if wrong is None:
            return
        asked, came = self._shifts[wrong] + page.index, found[wrong] + page.index
        self._shifts = {}
        self._warn(
            f"Page {page.index + 1} calls itself {came} where {asked} follows ({wrong}) {page.where}. If it is right, the API or a "
            "cache on the way answered with another page than it was asked for: records may be missing, or come twice."
        )


def _find_signs_of_before(page: PageView) -> Iterator[str]:
    """Yields each key or header by which ``page`` says that another one comes before it."""
    links = parse_links(page.headers.get("Link", "")).found
    if any(not BACK.isdisjoint(link.rels) and link.is_about(page.url) for link in links):
        yield "a Link header with rel=prev"
    if is_pointer(page.headers.get(PREVIOUS_PAGE_HEADER)):
        yield PREVIOUS_PAGE_HEADER
    for place in find_places(page):
        keys = chain(place.find_flags_of_before(), place.find_back_pointers())
        yield from (f"{place.path}{key}" for key in keys)
