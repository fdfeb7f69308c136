"""Notices the cap of an API: how many rows it shows of one request."""

from __future__ import annotations

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.paginators.cap import RowCap
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.errors import CapReached


class CapWatch:
    """Notices when one page sequence has come to the cap, so that nothing behind it is asked for."""

    def __init__(self, options: PagingOptions) -> None:
        self._cap = options.cap
        self._size = options.page_size
        self._has_fixed_pages = options.has_fixed_pages
        self._ends_by_count = options.ends_by == "count"
        self._largest = 0

    def may_have_page(self, index: int) -> bool:
        """Whether page ``index`` (from 0) lies below the cap, as far as the size shows that."""
        if self._cap is None or self._size is None:
            return True
        return index == 0 or (index + 1) * self._size <= self._cap.rows

    def is_reached(self, page: PageView, *, has_next: bool) -> bool:
        """Whether ``page`` is the last one below the cap, with others possibly behind it.

        Raises:
            CapReached: it is, or page one announces that much, and all of it is read again in narrower parts.
        """
        cap = self._cap
        if cap is None:
            return False
        self._largest = max(self._largest, page.rows)
        is_reached = self._leads_beyond(cap, page) if has_next else self._ends_at(cap, page)
        is_announced = page.index == 0 and self._announces_more(cap, page, has_next=has_next)
        if cap.then == "narrow" and (is_reached or is_announced):
            raise CapReached(
                f"The API shows {cap.rows:,} rows of one request, and has more of this one",
                where=page.where,
                hint="Narrow the request. In a spec, cap narrows a window whose two bounds are sent.",
            )
        return is_reached

    def _leads_beyond(self, cap: RowCap, page: PageView) -> bool:
        """Whether the next request would reach beyond the cap, which most APIs refuse."""
        step = self._size or self._largest
        full_pages = (page.index + 1) * (step if self._has_fixed_pages else self._largest)
        return max(page.rows_so_far, full_pages) + step > cap.rows

    def _ends_at(self, cap: RowCap, page: PageView) -> bool:
        """Whether the pages may end because of the cap; a total below it shows that they do not."""
        announced = page.announced
        if announced is not None and announced <= page.rows_so_far and announced < cap.rows:
            return False
        step = self._size or (self._largest if page.index else 0)
        readable = cap.rows - cap.rows % step if 0 < step <= cap.rows else cap.rows
        if page.rows_so_far >= readable:
            return True
        # Behind a cursor or link, an API that leaves out single rows still counts them: its position is that of full pages.
        # Pages that end there by chance cost one request more. Where rows or pages are counted, a short page is the end.
        counts_left_out = not self._ends_by_count and page.index > 0 and page.rows > 0
        return counts_left_out and (page.index + 1) * step >= readable

    def _announces_more(self, cap: RowCap, page: PageView, *, has_next: bool) -> bool:
        """Whether page one announces more than can be read; a total as high as the cap may be cut by it."""
        announced = page.announced
        if announced is None:
            return False
        step = self._size or self._largest
        readable = cap.rows - cap.rows % step if has_next and 0 < step <= cap.rows else cap.rows
        return announced >= cap.rows or announced > readable
