"""Paginators: from one page to the request for the next.

A paginator is a value built from its options. It does no I/O and keeps no state: what a page sequence remembers
(loop guard, counts) is in ``sequence``, so that two parents never share a position.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from oauth_taskflow.api.counted import ByOffset, ByPageNumber
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
from oauth_taskflow.api.pointed import ByCursor, ByLink, ByNextUrl
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PagesCutShort, SpecError


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
        """How many pages to expect according to ``page``; None when it does not say."""

    def page_count(self, page: PageView) -> int | None:
        """The number of pages that ``page`` announces itself; None when it does not."""


@dataclass(frozen=True)
class SinglePage:
    """No paging."""

    options: NoPages

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is."""
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:  # noqa: ARG002 - the protocol's
        """Nothing follows.

        Raises:
            PagesCutShort: a flag says that pages follow.
        """
        if page.continues:
            raise PagesCutShort(
                "The flag says that more pages follow, and paginate.type is none",
                where=page.where,
                hint="Say how the next page is found: type page, offset, cursor, link or next_url.",
            )
        return None


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
        TypeError: ``options`` are none of a registered class.
    """
    if isinstance(options, CustomPages):
        return _custom(options)
    build = PAGINATORS.get(type(options))
    if build is None:
        raise TypeError(
            f"paginate takes options such as PageNumbers(size=100), not {type(options).__name__}; "
            "see oauth_taskflow.api.options"
        )
    return build(options)


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
