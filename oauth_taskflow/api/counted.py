"""Paginators that count: page numbers and row offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oauth_taskflow.api.options import Offsets, PageNumbers
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord


def ended_by_count(options: PageNumbers | Offsets, page: PageView) -> bool:
    """Whether the number of rows says that this was the last page; flags, where declared, are asked instead."""
    if page.continues is not None:
        return False
    if page.rows == 0:
        return True
    if options.size is None or page.rows >= options.size or options.short_page == "continue":
        return False
    # A first page of exactly size rows shows that the server honours the size and does not clamp it.
    return options.short_page == "end" or page.first_rows == options.size


def whole_number(value: Any, what: str, page: PageView) -> int | None:
    """``value`` as a count; APIs send it as text too.

    Raises:
        InvalidRecord: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    raise InvalidRecord(f"{what} is {value!r:.60}, not a number", where=page.where)


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
        """The next number, unless a total or the number of rows says that this was the last."""
        total = self.pages(page)
        if total is not None:
            ended = page.index + 1 >= total or page.rows == 0
        else:
            ended = ended_by_count(self.options, page)
        return None if ended else self.at(request, page.index + 1)

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index``."""
        options = self.options
        return request.with_paging(options.param, options.start + index, options.send_in)

    def pages(self, page: PageView) -> int | None:
        """The number of pages from ``total_pages``."""
        path = self.options.total_pages
        return None if path is None else whole_number(page.find(path), f"total_pages {path}", page)


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
        by_step = options.unit == "pages" or (options.advance == "size" and self._step > 0)
        reached = (page.index + 1) * self._step if by_step else page.rows_so_far
        total = self._total(page)
        if total is not None:
            rows = (page.index + 1) * (options.size or page.first_rows) if by_step else reached
            ended = rows >= total or page.rows == 0
        else:
            ended = ended_by_count(options, page)
        return (
            None
            if ended
            else request.with_paging(options.param, options.start + reached, options.send_in)
        )

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index``, counted in whole steps."""
        options = self.options
        return request.with_paging(
            options.param, options.start + index * self._step, options.send_in
        )

    def pages(self, page: PageView) -> int | None:
        """The number of pages from ``total``."""
        total, size = self._total(page), self.options.size or page.first_rows
        return None if total is None or not size else -(-total // size)

    def _total(self, page: PageView) -> int | None:
        path = self.options.total
        return None if path is None else whole_number(page.find(path), f"total {path}", page)
