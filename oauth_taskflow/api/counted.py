"""Paginators that count: page numbers and row offsets."""

from __future__ import annotations

from dataclasses import dataclass

from oauth_taskflow.api.options import Offsets, PageNumbers
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.totals import whole_number
from oauth_taskflow.errors import InvalidRecord


def is_last_by_count(options: PageNumbers | Offsets, page: PageView) -> bool:
    """Whether the rows say that this was the last page; flags and totals, where the API sends them, are asked instead."""
    if page.continues is not None:
        return False
    if page.rows == 0:
        return True
    # Less than came already is no total: then the rows say where the end is, as without one.
    if page.total is not None and page.rows_so_far <= page.total:
        return page.rows_so_far == page.total
    if page.announced is not None and page.rows_so_far < page.announced:
        return False  # an estimate says that this page is short by chance
    if options.size is None or page.rows >= options.size or options.short_page == "continue":
        return False
    # A first page of exactly size rows shows that the server honours the size and does not clamp it.
    return options.short_page == "end" or page.first_rows == options.size


def _check_steps(
    options: Offsets, page: PageView, *, by_step: bool, by_pages: bool = False
) -> None:
    """Refuse a page with rows behind one that did not tell where this one begins; an exact total tells later."""
    if by_pages or page.index == 0 or page.rows == 0:
        return
    if not by_step and page.is_unsure:
        raise InvalidRecord(
            f"Page {page.index + 1} has rows, and nothing shows what the offset counts: the lists that records "
            "starts from, or what is in them",
            where=page.where,
            hint="Write size, as large as the API allows, so that a full first page shows it.",
        )
    short = by_step and options.size is not None and page.first_rows < options.size
    if short and options.short_page == "auto" and page.total is None:
        raise InvalidRecord(
            f"Page 1 held {page.first_rows} of {options.size} rows, and page {page.index + 1} has more: with advance: "
            "size the rows between may have been left out",
            where=page.where,
            hint=f"If the API caps its pages, write size: {page.first_rows}. If it leaves out single rows of a page, "
            "write short_page: continue.",
        )


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
        """The next offset, unless a total or the number of rows says that this was the last page.

        Raises:
            InvalidRecord: this page has rows, and the offset that led here may have left rows out or repeated some.
        """
        options = self.options
        by_pages = options.unit == "pages"
        by_step = by_pages or (options.advance == "size" and self._step > 0)
        reached = (page.index + 1) * self._step if by_step else page.rows_so_far
        ended = is_last_by_count(options, page)
        _check_steps(options, page, by_step=by_step, by_pages=by_pages)
        total = page.total if page.continues is None and not by_pages else None
        if total is not None and page.rows_so_far <= total:
            ended = ended or reached >= total  # nothing is behind the total
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
