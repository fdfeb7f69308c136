"""Paginators: from one page to the request for the next.

A paginator is a value built from its options. It does no I/O and keeps no state: what a page sequence remembers
(loop guard, counts) is in ``sequence``, so that two parents never share a position.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

import msgspec

from oauth_taskflow.api.links import parse_links
from oauth_taskflow.api.options import (
    Cursors,
    CustomPages,
    Links,
    NextUrls,
    NoPages,
    Offsets,
    PageNumbers,
    PagingOptions,
)
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord, SpecError


class Paginator(Protocol):
    """Two questions: the first request, and the one after a page."""

    def first(self, request: ApiRequest) -> ApiRequest:
        """``request`` with what the first page needs, such as a size."""

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The request after ``page``, which answered ``request``; None at the end."""


@runtime_checkable
class IndexedPaginator(Protocol):
    """A paginator that knows any page's request beforehand, so that several are fetched at once."""

    @property
    def prefetch(self) -> int:
        """How many pages are fetched at once; 1 for one after the other."""

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index`` (from 0), given the prepared first ``request``."""

    def pages(self, page: PageView) -> int | None:
        """How many pages there are according to ``page``; None when it does not say."""


def put(request: ApiRequest, name: str | None, value: Any, place: str) -> ApiRequest:
    """``request`` with a paging value in its query or body; unchanged without a name or value."""
    if not name or value is None:
        return request
    if place == "body":
        return request.with_body_value(name, value)
    if isinstance(value, list | dict):
        value = msgspec.json.encode(value).decode()
    return request.with_param(name, value)


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
class SinglePage:
    """No paging."""

    options: NoPages

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is."""
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:  # noqa: ARG002 - the protocol's
        """Nothing follows."""
        return None


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
        request = put(request, options.size_param, options.size, options.send_in)
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
        return put(request, options.param, options.start + index, options.send_in)

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
        request = put(request, options.size_param, options.size, options.send_in)
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
            None if ended else put(request, options.param, options.start + reached, options.send_in)
        )

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        """The request for page ``index``, counted in whole steps."""
        options = self.options
        return put(request, options.param, options.start + index * self._step, options.send_in)

    def pages(self, page: PageView) -> int | None:
        """The number of pages from ``total``."""
        total, size = self._total(page), self.options.size or page.first_rows
        return None if total is None or not size else -(-total // size)

    def _total(self, page: PageView) -> int | None:
        path = self.options.total
        return None if path is None else whole_number(page.find(path), f"total {path}", page)


@dataclass(frozen=True)
class ByCursor:
    """An opaque page cursor."""

    options: Cursors

    def first(self, request: ApiRequest) -> ApiRequest:
        """With the size, which travels where the cursor does."""
        options = self.options
        place = "query" if options.param or not options.body else "body"
        return put(request, options.size_param, options.size, place)

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The same request with the cursor of ``page``; the end when there is none."""
        options = self.options
        if page.rows == 0 and options.empty_page == "end":
            return None
        cursor = self._cursor(page)
        if self._is_end(cursor):
            return None
        if options.body:
            return put(request, options.body, cursor, "body")
        return put(request, options.param, cursor, "query")

    def _cursor(self, page: PageView) -> Any:
        options = self.options
        if options.header is not None:
            return page.headers.get(options.header)
        if options.next is not None:
            return page.find(options.next)
        if options.last_record is None or page.rows == 0:
            return None
        cursor = page.find_in_last_record(options.last_record)
        if cursor is None:
            raise InvalidRecord(
                f"The last record of page {page.index + 1} has no cursor at {options.last_record!r}",
                where=page.where,
                hint="Correct paginate.last_record; without it the rest would be left out silently.",
            )
        return cursor

    def _is_end(self, cursor: Any) -> bool:
        if cursor is None or cursor == "" or cursor in ([], {}):
            return True
        return any(type(cursor) is type(end) and cursor == end for end in self.options.end_values)


@dataclass(frozen=True)
class ByLink:
    """The ``Link`` header (RFC 8288)."""

    options: Links

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is."""
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The target of the first link of the relation; the end when its attributes are not those required."""
        for link in parse_links(page.headers.get("Link", "")):
            if self.options.rel.lower() in link.rels:
                wanted = self.options.require.items()
                if any(link.attributes.get(name.lower()) != value for name, value in wanted):
                    return None
                return request.at_url(urljoin(page.url, link.target))
        return None


@dataclass(frozen=True)
class ByNextUrl:
    """The next URL from the body."""

    options: NextUrls

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is."""
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The URL that the body names, text or ``{href: …}``, with sticky parameters where it lacks them."""
        found = page.find(self.options.next or "next")
        if isinstance(found, dict):
            found = found.get("href")
        if found is None or found == "" or found is False:
            return None
        if not isinstance(found, str):
            raise InvalidRecord(
                f"The next URL at {self.options.next!r} is {found!r:.60}, not text",
                where=page.where,
            )
        url = found if self.options.base == "api_root" else urljoin(page.url, found)
        return request.at_url(self._with_sticky(url, page.first))

    def _with_sticky(self, url: str, first: ApiRequest) -> str:
        present = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
        for name in self.options.sticky:
            value = first.params.get(name)
            if name not in present and value is not None:
                url += f"{'&' if '?' in url else '?'}{quote(name, safe='')}={quote(str(value), safe='')}"
        return url


Build = Callable[[Any], Paginator]
PAGINATORS: dict[type[PagingOptions], Build] = {
    NoPages: SinglePage,
    PageNumbers: ByPageNumber,
    Offsets: ByOffset,
    Cursors: ByCursor,
    Links: ByLink,
    NextUrls: ByNextUrl,
}


def register_paginator(options: type[PagingOptions], build: Build) -> None:
    """Let pages with these ``options`` be found by what ``build`` returns for them."""
    PAGINATORS[options] = build


def build_paginator(options: PagingOptions) -> Paginator:
    """The paginator for ``options``.

    Raises:
        SpecError: a custom class cannot be imported or refuses its options.
    """
    if isinstance(options, CustomPages):
        return _custom(options)
    return PAGINATORS[type(options)](options)


def _custom(options: CustomPages) -> Paginator:
    module, _, name = (options.path or "").rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)(**options.options)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SpecError([f"Paginator {options.path!r} cannot be built: {error}"]) from error
    if not (callable(getattr(made, "first", None)) and callable(getattr(made, "next", None))):
        raise SpecError([f"Paginator {options.path!r} lacks the methods first and next"])
    paginator: Paginator = made
    return paginator
