"""Totals, flags and page counts that an API announces, and the check of an end against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.decoders.numbers import read_count
from oauth_taskflow.api.paginators.base import PagingOptions, TotalRows
from oauth_taskflow.api.pull.counting_pointers import CountingPointers
from oauth_taskflow.api.pull.left_totals import LeftTotals
from oauth_taskflow.api.pull.marks import Announced, UnnamedTotal
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PagesCutShort

# A number alone, or after a slash as in Content-Range (RFC 9110 §14.4), where * means unknown.
_IN_HEADER = re.compile(r"(?:.*/)?\s*(-?\d{1,99}|\*)\s*")
# Where many search APIs end: Elasticsearch by default, HubSpot, Google's searches.
_USUAL_CAP = 10_000
Warn = Callable[[str], None]


class Announcements:
    """The last total, flag and page count that the pages of one sequence announced, and its lowest total."""

    def __init__(self, options: PagingOptions, warn: Warn, first: ApiRequest) -> None:
        self._options = options.announced_total
        # A deleted row moves those behind it into pages that were read before; many page cursors are row numbers in disguise.
        self._is_numbered = options.has_shifting_pages
        self._pointers = CountingPointers(first, options)
        self._warns_of_fall = options.may_shift_pages
        self._may_be_cut = options.cap is None and options.ends_by in {"count", "pointer"}
        self._is_lower_bound = False
        self._warn = warn
        self.total: int | None = None
        self.continues: bool | None = None
        self.page_count: int | None = None
        self.unnamed: UnnamedTotal | None = None
        self._lowest: int | None = None
        self._may_be_left = options.ends_by == "pointer"
        self._left = LeftTotals()
        # A fall that may show a total of what is left; the next page tells.
        self._doubtful_fall = ""

    def mark(self) -> Announced:
        """Returns what was announced."""
        # What is left counts a row once more that moved behind the pointer, and none can move before it.
        lowest = None if self._left.is_sure else self._lowest
        figures = (self.total, self.continues, self.page_count, lowest, self.unnamed)
        return Announced(*figures, self._pointers.state, self._left, self._doubtful_fall)

    def restore(self, announced: Announced) -> None:
        """Takes what the pages of an earlier process announced."""
        self.total, self.continues = announced.total, announced.continues
        self.page_count, self._lowest = announced.page_count, announced.lowest
        self.unnamed = announced.unnamed
        self._pointers.restore(announced.counters)
        self._left, self._doubtful_fall = announced.left, announced.doubtful_fall

    @property
    def exact_total(self) -> int | None:
        """The last total, unless it is an estimate or a lower bound."""
        return None if self._options.approximate or self._is_lower_bound else self.total

    def names_end(self, rows: int) -> bool:
        """Whether the end after ``rows`` rows, which nothing denies, is where a total or page count said that it would be."""
        is_named = self.exact_total is not None or self.page_count is not None
        return is_named or (self.unnamed is not None and self.unnamed[1] == rows)

    def add_pointer(self, request: ApiRequest, page: PageView) -> None:
        """Takes the ``request`` that follows ``page``, whose pointer may count rows or pages."""
        self._pointers.advance(request, page)

    def update_total(self, page: PageView) -> None:
        """Remembers the total that ``page`` announces. A page without a total leaves the last one valid.

        So does an empty page whose total is lower than the number of rows already read: that total is wrong.

        Raises:
            InvalidRecord: it is not a number.
        """
        total = read_announced_total(self._options, page.body, page.headers)
        if total is not None:
            self.unnamed = None  # page one may have lacked the total that the spec names
        if total is not None and self._may_be_left:
            self._left = self._left.add(total, page)
            total = total if self._left.whole is None else self._left.whole
            self._settle_fall()
        is_believed = page.rows > 0 or total is None or total >= page.rows_so_far
        if total is not None and (is_believed or self.total is None):
            if not self._options.approximate:
                self._check_fall(self.total, total, page)
            self.total = total
            self._is_lower_bound = self._says_at_least(page)
            self._lowest = total if self._lowest is None else min(self._lowest, total)

    def _says_at_least(self, page: PageView) -> bool:
        """Whether the total is one that Elasticsearch stopped to count: ``{"value": 10000, "relation": "gte"}``."""
        parent, _, name = (self._options.path or "").rpartition(".")
        return (
            name == "value" and page.find(f"{parent}.relation" if parent else "relation") == "gte"
        )

    def update_unnamed(self, last: UnnamedTotal | None, page: PageView) -> None:
        """Takes the number of all records that ``page``, the last one, announces where page one announced it.

        A number as low as the first page's own rows is one of that page. With pointers that count nothing it is often an estimate.
        """
        first = self.unnamed
        if first is None or last is None or not self._pointers.state.counts:
            return
        if first[0] != last[0] or first[1] <= page.first_rows:
            return
        if page.rows > 0 or last[1] >= page.rows_so_far:
            self._check_fall(first[1], last[1], page)
            self.unnamed = min(first, last)

    def _check_fall(self, before: int | None, total: int, page: PageView) -> None:
        if not self._warns_of_fall or before is None or total >= before:
            return
        cause = "if the pointer to the next page counts rows,"
        if self._pointers.state.counts:
            cause = "since the pointers to the next pages count rows or pages,"
        if self._is_numbered:
            cause = "with numbered pages or offsets"
        self._warns_of_fall = False
        self._doubtful_fall = (
            f"The total fell from {before:,} to {total:,} while pages were read: rows were deleted, and {cause} as many others "
            f"may be missing {page.where}."
        )
        if not self._left.may_be:
            self._settle_fall()

    def _settle_fall(self) -> None:
        """Warns of a fall of the total, unless the totals count what is left."""
        if self._doubtful_fall and self._left.is_sure:
            self._warns_of_fall = True  # a later fall is one of the whole
        elif self._doubtful_fall:
            self._warn(self._doubtful_fall)
        self._doubtful_fall = ""

    def check_end(self, rows: int, pages: int, where: str, *, is_bare: bool = False) -> None:
        """Compares the end after ``rows`` rows and ``pages`` pages with the announcements.

        ``is_bare`` is for an end without a page that could say so: then the last page's flag counts too.

        Raises:
            PagesCutShort: more was announced; ``retryable``. An approximate total is a warning instead.
        """
        self._settle_fall()
        denial = self._find_denial(pages, with_flag=is_bare)
        if denial:
            raise PagesCutShort(
                f"Reading ends after {rows:,} records, but {denial}",
                where=where,
                hint="If the API ends its pages like this, write a rule in responses with action: end.",
                retryable=True,
            )
        if self.total is None or rows >= self.total:
            if rows == _USUAL_CAP and self._may_be_cut:
                self._warn(
                    f"Reading ends after exactly {rows:,} records, where many search APIs end whatever they have {where}. If there "
                    "are more, write cap in paginate."
                )
            return
        message = f"Reading ends after {rows:,} records, but the API announced {self.total:,}"
        if self._options.approximate:
            self._warn(f"{message} (total is approximate) {where}.")
            return
        raise PagesCutShort(
            message,
            where=where,
            hint=f"Check {'paginate' if rows else 'records'}, and size if the API caps it. If the total counts records that the API does not "
            f"return, write {self._options.as_approximate}.",
            retryable=True,
        )

    def _find_denial(self, pages: int, *, with_flag: bool) -> str:
        """Returns the flag or page count that contradicts an end here, in words; empty when none does."""
        if with_flag and self.continues:
            return "the last page said that more pages follow"
        if self.continues is None and self.page_count is not None and pages < self.page_count:
            return f"the API announced {self.page_count:,} pages and {pages:,} came"
        return ""

    def warn_about_rule(self, rows: int, pages: int, where: str, *, is_skip: bool = False) -> None:
        """Warns when an author's rule ends reading before everything came that was announced, or skips a later page."""
        self._settle_fall()
        denial = self._find_denial(pages, with_flag=True)
        if self.total is not None and rows < self.total:
            denial = f"the API announced {self.total:,}"
        if denial:
            self._warn(
                f"A rule in responses ended reading after {rows:,} records, but {denial} {where}."
            )
        elif is_skip and pages:
            self._warn(f"A rule in responses skipped page {pages + 1} and what follows {where}.")


def read_announced_total(options: TotalRows, body: Body, headers: Mapping[str, str]) -> int | None:
    """Returns the total at the place that ``options`` name; None where it is absent or unknown.

    Raises:
        InvalidRecord: it is not a number.
    """
    value: Any = None
    if options.header is not None:
        value = read_header_total(headers.get(options.header))
    elif options.path is not None:
        value = body.find(options.path)
    return read_count(value, f"total {options.place}", body.where)


def read_header_total(text: str | None) -> int | str | None:
    """Returns the number in a header; the text where it is not a number, and None where the header or the number is missing."""
    match = _IN_HEADER.fullmatch(text or "*")
    if match is None:
        return text
    return None if match[1] == "*" else int(match[1])
