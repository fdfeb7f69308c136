"""One page sequence: counts its rows, finds its end, and makes its next request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import requests

from oauth_taskflow.api.paginators import Paginate, SinglePage
from oauth_taskflow.api.paginators.base import IndexedPaginator, PagingOptions
from oauth_taskflow.api.paginators.flags import read_flag_option
from oauth_taskflow.api.pull.caps.watch import CapWatch
from oauth_taskflow.api.pull.keys.overlap import KeyTrail
from oauth_taskflow.api.pull.loop_guard import LoopGuard, OverlapGuard
from oauth_taskflow.api.pull.lost_queries import describe_changed_query, describe_lost_query
from oauth_taskflow.api.pull.marks import (
    PageMark,
    ResumableCheck,
    SequenceState,
    next_request,
)
from oauth_taskflow.api.pull.own_end import describe_lone_page
from oauth_taskflow.api.pull.own_place import OwnPlace
from oauth_taskflow.api.pull.page import Page, PageView
from oauth_taskflow.api.pull.page_judge import Content, locate_response
from oauth_taskflow.api.pull.past_end import (
    describe_foreign_end,
    find_end_hint,
    is_elsewhere,
)
from oauth_taskflow.api.pull.row_unit import RowUnit
from oauth_taskflow.api.pull.totals import Announcements, Warn
from oauth_taskflow.api.pull.unread_pages import (
    describe_unread_pages,
    describe_unread_rows,
    find_unnamed_total,
    is_surely_last,
)
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PaginationLimit

_log = logging.getLogger(__name__)
_NULL = msgspec.Raw(b"null")


def log_warning(text: str) -> None:
    """Logs a doubt about the pages that were read."""
    _log.warning("%s", text)


class PageSequence:
    """The state of one sequence of pages. It is used by one thread at a time.

    ``request`` is what to ask next, None at the end. An end that an announced total, flag or page count denies is an
    error; doubts go to ``warn``. With ``drops_repeats``, records that come again are dropped later, so that numbered pages
    may overlap.
    """

    def __init__(
        self,
        request: ApiRequest,
        options: Paginate | None,
        *,
        warn: Warn = log_warning,
        drops_repeats: bool = False,
    ) -> None:
        if not isinstance(options, PagingOptions | None):
            raise TypeError(
                f"paginate takes options such as PageNumberPaginator(size=100), not {type(options).__name__}; "
                "see oauth_taskflow.api.options"
            )
        self.options = options if options is not None else SinglePage()
        self._written = options
        self.paginator = self.options.build()
        self.first = request
        self.request: ApiRequest | None = self.paginator.first_request(request)
        self.start = self.request
        self.index = 0
        self.rows = self._records = 0
        self._first_rows = 0
        self._unit = RowUnit(self.options)
        self._warn = warn
        self._announced = Announcements(self.options, warn, self.start)
        paginator = self.paginator
        self._indexed = paginator if isinstance(paginator, IndexedPaginator) else None
        is_indexed = self._indexed is not None
        self._loops = LoopGuard(self.start, self.options, warn, is_indexed=is_indexed)
        may_repeat = self.options.ends_by in {"count", "pointer"} and not drops_repeats
        is_compared = may_repeat and self.options.sort_key is None
        self._overlap = OverlapGuard(self.options, warn) if is_compared else None
        self._place = OwnPlace(self.options, warn)
        self._pages: int | None = None
        self._url = self._pointer_hint = ""
        self._cap = CapWatch(self.options)
        self._trail = KeyTrail(self.options.sort_key, warn)
        self.is_last: Callable[[list[Any]], bool] | None = None
        """Whether nothing that is wanted follows the page with these records; the API may go on after it."""

    def restore(self, state: SequenceState) -> None:
        """Goes on after the pages that ``state`` describes: an earlier process read them."""
        self.request = next_request(self.start, state.request)
        self.index, self.rows, self._records = state.index, state.rows, state.records
        self._first_rows, self._pages = state.first_rows, state.pages
        self._unit.restore(state.unit)
        self._announced.restore(state.announced)
        self._loops.restore(state)
        self._trail.restore(state.key)
        if self._overlap is not None:
            self._overlap.has_warned = state.overlaps
        check: object = self.is_last
        if state.end is not None and isinstance(check, ResumableCheck):
            check.restore(state.end)

    def _mark(self) -> PageMark:
        check: object = self.is_last
        return PageMark(
            self.request,
            self.index,
            self.rows,
            self._records,
            self._first_rows,
            self._pages,
            self._unit.counts,
            self._announced.mark(),
            self._loops.mark(),
            self._trail.mark(),
            check.save() if isinstance(check, ResumableCheck) else None,
            self._overlap is not None and self._overlap.has_warned,
        )

    @property
    def counted_rows(self) -> int:
        """The number that totals are compared with: the rows as the API counts them, as far as the pages show that."""
        is_of_records = self._unit.is_unsure and self._records == self._announced.total
        return self._records if is_of_records else self.rows

    @property
    def first_rows(self) -> int:
        """The number of rows in page one; 0 before it came."""
        return self._first_rows

    @property
    def announced_pages(self) -> int | None:
        """The number of pages to expect by the last total or page count; None without one."""
        return self._pages

    @property
    def announced_total(self) -> int | None:
        """The last total, an estimate or not."""
        return self._announced.total

    def may_have_page(self, index: int) -> bool:
        """Whether page ``index`` (from 0) may exist according to the last total that the API named."""
        is_expected = self._pages is None or index < self._pages
        return is_expected and self._cap.may_have_page(index)

    def is_past_end(self, response: requests.Response) -> bool:
        """Whether the status of ``response`` means that the page before was the last; never for page one or another path."""
        is_end = self.index > 0 and response.status_code in self.options.end_on_status
        return is_end and not is_elsewhere(response, self._url)

    def end_hint(self, response: requests.Response) -> str:
        """Returns the hint for a request after page one that is answered with an error status; empty without one."""
        if self.index == 0:
            return ""
        return find_end_hint(self.options, response, self._url, self._pointer_hint)

    def end_by_status(self, response: requests.Response) -> None:
        """Ends the sequence with a response whose status means the end.

        Raises:
            PagesCutShort: the API announced more.
        """
        where = locate_response(response)
        self._end_before(where)
        if not self._announced.names_end(self.counted_rows):
            self._warn_if(describe_foreign_end(response, self.index, where))

    def _end_before(self, where: str) -> None:
        """Ends the sequence with an answer that is not a page of it."""
        self.request = None
        rows = self.counted_rows
        self._announced.check_end(rows, self.index, where, is_bare=True)
        if self.options.ends_by == "count":
            unnamed = self._announced.unnamed
            self._warn_if(describe_unread_rows(where, self._written, rows, self._records, unnamed))

    def _drop_repeat(self, page: PageView) -> None:
        """Ends the sequence with ``page``, which is the last one once more, and takes it out of the counts."""
        self.rows -= page.rows
        self._records -= len(page.records)
        self._end_before(page.where)
        if not self._announced.names_end(self.counted_rows):
            self._warn_if(describe_lone_page(page, self.options))

    def end_by_rule(
        self, response: requests.Response, *, is_skip: bool = False, dropped: int = 0
    ) -> None:
        """Ends the sequence by the author's rule, with a warning when the API announced more or a later page is skipped.

        ``dropped`` is the number of records in the answer, which are not read.
        """
        self.request = None
        if dropped:
            self._warn(
                f"A rule in responses drops an answer with {dropped:,} records {locate_response(response)}. To end after a page, "
                "write last or more in paginate."
            )
        self._announced.warn_about_rule(
            self.counted_rows, self.index, locate_response(response), is_skip=is_skip
        )

    def advance(self, response: requests.Response, content: Content) -> Page | None:
        """Takes the page that answered ``request`` and works out the next request; None for the last page once more.

        Raises:
            PagesCutShort: this is the last page, and the API announced more records.
            PaginationLoop: this page, or the request after it, was there before, or too many pages are empty.
            PaginationLimit: it is one more than ``max_pages`` or ``max_records`` allow.
            CapReached: the API shows no more of this request, and has more.
            InvalidRecord: a flag, cursor or total is unreadable, or a flag is missing.
        """
        assert self.request is not None
        self._url = response.url
        page = self._build_view(response, content)
        is_end_again = self._loops.check_content(page)
        if is_end_again:
            self._drop_repeat(page)
            return None
        if self._overlap is not None:
            self._overlap.check(page)
        self._place.check(page)
        self._check_record_limit(page)
        self._warn_of_content(page, content)
        self.request = self._find_next(self.request, page, content)
        self.index += 1
        is_capped = self._cap.is_reached(page, has_next=self.request is not None)
        if is_capped:
            self.request = None
        elif self.request is None:
            # An author's class may end although a flag that it ignores says that pages follow.
            has_flag = content.has_landmark and self.options.ends_by != "class"
            self._announced.check_end(
                self.counted_rows, self.index, page.where, is_bare=not has_flag
            )
            if self._announced.continues is None:  # the flag that the author names decides
                unnamed = self._announced.unnamed
                self._warn_if(describe_unread_pages(page, self._written, unnamed, self._records))
            if page.index > 0:
                self._announced.update_unnamed(find_unnamed_total(page, self._written), page)
        elif self.is_last is not None and self.is_last(page.records):
            self.request = None
        else:
            self._loops.check_request(self.request, page)
        return self._build_page(page, content, is_capped=is_capped)

    def _build_page(self, page: PageView, content: Content, *, is_capped: bool) -> Page:
        """Returns what the consumer sees of ``page``, after the next request is known."""
        size, url = len(page.response.content), page.body.url
        is_doubtful = content.is_doubtful and page.announced != 0
        records = self._trail.drop_repeats(page.records)
        figures = (size, url, page.index, page.announced, is_doubtful)
        shows_end = self.request is None and is_surely_last(page, self.options, self._records)
        return Page(
            records,
            *figures,
            self._mark(),
            is_capped=is_capped,
            shows_end=shows_end,
            blind_rows=content.blind_rows,
        )

    def _warn_of_content(self, page: PageView, content: Content) -> None:
        """Warns of a page that came damaged, that answers another question, or that says itself that it is not whole."""
        self._warn_if(describe_lost_query(page))
        if page.body.is_mended:
            self._warn(
                f"Page {page.index + 1} has texts that end within a character; U+FFFD is written there {page.where}."
            )
        nulls = page.records.count(None) or page.records.count(_NULL)  # decoded or not
        if nulls:
            self._warn(f"Page {page.index + 1} has {nulls:,} records that are null {page.where}.")
        if content.hidden:
            self._warn(
                f"Page {page.index + 1} has {content.hidden:,} edges whose node is null, and which are no records {page.where}."
            )
        for doubt in content.inner_lists:
            self._warn(doubt.describe(page))
        if content.gap:
            self._warn(
                f"Page {page.index + 1} says that records are missing from it ({content.gap}) {page.where}."
            )
        if content.remark:
            # Without page and URL: the same remark of all pages and parents is one warning of the run.
            self._warn(
                f"The API itself warns ({content.remark}). It may have ignored or lowered a parameter: "
                "compare those of the request with its documentation."
            )
        if content.has_error:
            self._warn(
                f"Page {page.index + 1} has records and a root error beside them: some may be missing {page.where}."
            )

    def _warn_if(self, warning: str | None) -> None:
        if warning is not None:
            self._warn(warning)

    def _build_view(self, response: requests.Response, content: Content) -> PageView:
        received = self._unit.rows(content)
        self.rows += len(received)
        self._records += len(content.records)
        self._first_rows = self._first_rows if self.index else len(received)
        page = PageView(
            response,
            content.body,
            content.records,
            self.index,
            self.first,
            self._first_rows,
            self.rows,
            source_rows=received,
            is_unsure=self._unit.is_unsure,
            list_keys=content.list_keys,
        )
        self._trail.advance(page)
        self._announced.update_total(page)
        page = replace(
            page,
            total=self._announced.exact_total,
            announced=self._announced.total,
            last_key=self._trail.last_key,
        )
        if self.index == 0:
            self._announced.unnamed = find_unnamed_total(page, self._written)
        return page

    def _find_next(
        self, request: ApiRequest, page: PageView, content: Content
    ) -> ApiRequest | None:
        if not content.has_landmark and page.body.empty:
            if page.index > 0 and self.options.ends_by == "pointer":
                self._warn(
                    f"HTTP {page.response.status_code} ended reading at page {page.index + 1}, although page "
                    f"{page.index} led there {page.where}."
                )
            return None
        continues = self._read_flags(page) if content.has_landmark else None
        if content.has_landmark:
            self._announced.continues = continues
        if self._indexed is not None:
            self._pages = self._indexed.estimate_page_count(page)
            count = self._indexed.find_page_count(page)
            self._announced.page_count = self._announced.page_count if count is None else count
        if continues is False:
            return None
        following = self.paginator.next_request(request, replace(page, continues=continues))
        if following is not None:
            if page.index == 0:
                self._pointer_hint = self.options.pointer_hint(page)
            self._announced.add_pointer(following, page)
            self._warn_if(describe_changed_query(page, following))
        return following

    def _read_flags(self, page: PageView) -> bool | None:
        """Returns whether pages follow by the declared flags: False when one of them says that this is the last page."""
        more, last = read_flag_option(self.options.more), read_flag_option(self.options.last)
        says = [] if more is None else [more.read(page)]
        says += [] if last is None else [not last.read(page)]
        return all(says) if says else None

    def _check_record_limit(self, page: PageView) -> None:
        limit = self.options.max_records
        if limit is not None and self._records > limit:
            raise PaginationLimit(
                f"More than max_records = {limit} records by page {page.index + 1}",
                where=page.where,
                hint="Narrow the request, or raise max_records if so many are expected.",
            )
