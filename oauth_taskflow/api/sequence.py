"""One page sequence: what was seen, whether it loops, and what comes next."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import requests

from oauth_taskflow.api.body import Body
from oauth_taskflow.api.options import NoPages, PagingOptions
from oauth_taskflow.api.page import Page, PageView
from oauth_taskflow.api.paginators import IndexedPaginator, build_paginator
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.secrecy import shown_url
from oauth_taskflow.errors import InvalidRecord, PaginationLimit, PaginationLoop

_encode = msgspec.json.Encoder().encode
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class PageSequence:
    """The state of one sequence of pages. Not shared between sequences, nor between threads at once.

    ``request`` is what to ask next, None at the end. The guard remembers every request made and the last content:
    a repeated cursor or URL, even after others in between, or the same page twice under different numbers, would
    never end.
    """

    def __init__(self, request: ApiRequest, options: PagingOptions | None) -> None:
        self.options = options if options is not None else NoPages()
        self.paginator = build_paginator(self.options)
        self.first = request
        self.request: ApiRequest | None = self.paginator.first(request)
        self.start = self.request
        self.index = 0
        self.rows = 0
        self._first_rows = 0
        self._seen = {self.start.fingerprint()}
        self._last_content = b""
        self._pages: int | None = None

    def expects(self, index: int) -> bool:
        """Whether page ``index`` (from 0) may exist, by the last total that the API named."""
        return self._pages is None or index < self._pages

    def past_the_end(self, status: int) -> bool:
        """Whether ``status`` means that the page before was the last; never for page one."""
        return self.index > 0 and status in self.options.end_on_status

    def end(self) -> None:
        """Nothing more is asked."""
        self.request = None

    def advance(self, response: requests.Response, body: Body, records: list[Any]) -> Page:
        """Take in the page that answered ``request`` and work out the next one.

        Raises:
            PaginationLoop: this page, or the request after it, was there before.
            PaginationLimit: it is one more than ``max_pages`` or ``max_records`` allow.
            InvalidRecord: a flag, cursor or total is missing or unreadable.
        """
        assert self.request is not None
        self.rows += len(records)
        self._first_rows = self._first_rows if self.index else len(records)
        page = PageView(
            response, body, records, self.index, self.first, self._first_rows, self.rows
        )
        self._guard_content(page)
        self._guard_records(page)
        self.request = self._next(self.request, page)
        if isinstance(self.paginator, IndexedPaginator):
            self._pages = self.paginator.pages(page)
        self.index += 1
        if self.request is not None:
            self._guard_request(self.request, page)
        return Page(
            records, len(response.content), shown_url(response.request, response.url), page.index
        )

    def _next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        if page.body.empty:
            return None
        continues = self._flags(page)
        if continues is False:
            return None
        return self.paginator.next(request, replace(page, continues=continues))

    def _flags(self, page: PageView) -> bool | None:
        """What the declared flags say; False when either says that this is the last page."""
        more, last = self.options.more, self.options.last
        says = [] if more is None else [_flag(page, more)]
        says += [] if last is None else [not _flag(page, last)]
        return all(says) if says else None

    def _guard_content(self, page: PageView) -> None:
        if not isinstance(self.paginator, IndexedPaginator):
            return
        content = _content(page)
        if content and content == self._last_content:
            raise PaginationLoop(
                f"Page {page.index + 1} holds exactly what page {page.index} held",
                where=page.where,
                hint="The API ignores the paging parameter (check its name), or sends its last page again: then "
                "set total, total_pages, more or last.",
            )
        self._last_content = content

    def _guard_records(self, page: PageView) -> None:
        limit = self.options.max_records
        if limit is not None and self.rows > limit:
            raise PaginationLimit(
                f"More than max_records = {limit} records by page {page.index + 1}",
                where=page.where,
                hint="Narrow the request, or raise max_records if so many are expected.",
            )

    def _guard_request(self, request: ApiRequest, page: PageView) -> None:
        mark = request.fingerprint()
        if mark in self._seen:
            raise PaginationLoop(
                f"Page {page.index + 1} leads back to a page that was read before",
                where=page.where,
                hint="The API repeats a page cursor or next URL; check paginate, and that the API ends its pages.",
            )
        self._seen.add(mark)
        if self.index >= self.options.max_pages:
            raise PaginationLimit(
                f"More than max_pages = {self.options.max_pages} pages follow",
                where=page.where,
                hint="Narrow the request, or raise max_pages if so many are expected.",
            )


def _content(page: PageView) -> bytes:
    """What is compared with the page before; empty for a page without rows.

    The records, since bodies often echo the page's own number or URL. A lone record may well come twice, so the
    whole body is compared then.
    """
    if page.rows == 0:
        return b""
    content = _encode(page.records) if page.rows > 1 else page.body.json
    return hashlib.blake2b(content, digest_size=16).digest()


def _flag(page: PageView, path: str) -> bool:
    value = page.find(path)
    known = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().lower())
    if known is None:
        raise InvalidRecord(
            f"The flag {path!r} of page {page.index + 1} is {'missing' if value is None else repr(value)[:60]}",
            where=page.where,
            hint="Correct the path of more or last; it must be true or false on every page.",
        )
    return known
