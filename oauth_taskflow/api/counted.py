"""Paginators that count: page numbers and row offsets."""

from __future__ import annotations

from dataclasses import dataclass

from oauth_taskflow.api.options import Offsets, PageNumbers
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.totals import whole_number


def is_last_by_count(options: PageNumbers | Offsets, page: PageView) -> bool:
    """Whether the rows say that this was the last page; flags and totals, where the API sends them, are asked instead."""
    if page.continues is not None:
        return False
    if page.rows == 0:
        return True
    if page.total is not None:
        return page.rows_so_far >= page.total
    if page.announced is not None and page.rows_so_far < page.announced:
        return False  # an estimate says that this page is short by chance
    if options.size is None or page.rows >= options.size or options.short_page == "continue":
        return False
    # A first page of exactly size rows shows that the server honours the size and does not clamp it.
    return options.short_page == "end" or page.first_rows == options.size


def _pages_of(total: int | None, size: int | None) -> int | None:
    return None if total is None or not size else -(-total // size)


@dataclass(frozen=True)
class ByPageNumber:
    """Numbered pages."""

    options: PageNumbers

    @property
    def prefetch(self) -> int:
        """As the options say."""
        return self.options.prefetch

    def first(self, request: ApiRequest) -> ApiRequest:
        """With the size and, unless ``send_first`` is off, the first number."""
        options = self.options
        request = request.with_paging(options.size_param, options.size, options.send_in)
        return self.at(request, 0) if options.send_first else request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The next number, unless a page count, total or the number of rows says that this was the last."""
        count = self.page_count(page)
        if count is not None and page.continues is None:
            ended = page.index + 1 >= count
        else:
            ended = is_last_by_count(self.options, page)
        return None if ended else self.at(request, page.index + 1)

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index``."""
        options = self.options
        return request.with_paging(options.param, options.start + index, options.send_in)

    def page_count(self, page: PageView) -> int | None:
        """The number of pages from ``total_pages``; a count of zero beside rows means nothing."""
        path = self.options.total_pages
        if path is None:
            return None
        count = whole_number(page.find(path), f"total_pages {path}", page)
        return None if count == 0 and page.rows_so_far else count

    def pages(self, page: PageView) -> int | None:
        """The number of pages from ``total_pages``, else from ``total``."""
        count = self.page_count(page)
        size = self.options.size or page.first_rows
        return _pages_of(page.total, size) if count is None else count


@dataclass(frozen=True)
class ByOffset:
    """Row offsets."""

    options: Offsets

    @property
    def prefetch(self) -> int:
        """As the options say, where offsets do not depend on what was received."""
        fixed = self.options.unit == "pages" or (self.options.advance == "size" and self._step)
        return self.options.prefetch if fixed else 1

    @property
    def _step(self) -> int:
        return 1 if self.options.unit == "pages" else self.options.size or 0

    def first(self, request: ApiRequest) -> ApiRequest:
        """With the size and the first offset."""
        options = self.options
        request = request.with_paging(options.size_param, options.size, options.send_in)
        return self.at(request, 0)

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The next offset, unless a total or the number of rows says that this was the last page."""
        options = self.options
        by_pages = options.unit == "pages"
        by_step = by_pages or (options.advance == "size" and self._step > 0)
        reached = (page.index + 1) * self._step if by_step else page.rows_so_far
        ended = is_last_by_count(options, page)
        if page.total is not None and page.continues is None and not by_pages:
            ended = ended or reached >= page.total  # nothing is behind the total
        if ended:
            return None
        return request.with_paging(options.param, options.start + reached, options.send_in)

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index``, counted in whole steps."""
        options = self.options
        return request.with_paging(
            options.param, options.start + index * self._step, options.send_in
        )

    def page_count(self, page: PageView) -> int | None:  # noqa: ARG002 - the protocol's
        """None: offset APIs announce rows, not pages."""
        return None

    def pages(self, page: PageView) -> int | None:
        """The number of pages from ``total``."""
        return _pages_of(page.total, self.options.size or page.first_rows)
