"""The ``page`` style: numbered pages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from oauth_taskflow.api.decoders.numbers import read_count
from oauth_taskflow.api.paginators.base import (
    SEND_IN,
    SIZE_PARAM,
    EndsBy,
    Flaw,
    PagingOptions,
    find_or_none,
    unsent_size_flaws,
)
from oauth_taskflow.api.paginators.cap import Place
from oauth_taskflow.api.paginators.counting import (
    ShortPage,
    can_guess_by_size,
    count_pages,
    is_last_page,
    short_page_flaws,
    total_marker,
)
from oauth_taskflow.schema.types import AtOnce, Count, JmesPath, Whole, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.decoders.json import Body
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class PageNumberPaginator(PagingOptions, frozen=True, kw_only=True, tag="page"):
    """Numbered pages: ``?page=1``, and so on."""

    param: Annotated[str, doc("Name of the page parameter.", "page", min_length=1)] = "page"
    start: Annotated[int, doc("Number of the first page.", 1, ge=0)] = 1
    size: Annotated[Count | None, doc("Rows to ask for per page.", 200)] = None
    size_param: Annotated[str | None, SIZE_PARAM] = None
    send_in: Annotated[Place, SEND_IN] = "query"
    send_first: Annotated[
        bool, doc("Send the page parameter with the first request too.", False)
    ] = True
    total_pages: Annotated[
        JmesPath | None, doc("Path of the number of pages; reading ends there.", "meta.pages")
    ] = None
    short_page: Annotated[
        ShortPage,
        doc(
            "A page with fewer rows than size: end, continue to an empty page, or auto: end only when the first page "
            "held exactly size rows, which shows that the server honours the size.",
            "auto",
        ),
    ] = "auto"
    prefetch: Annotated[
        AtOnce | None,
        doc(
            "The most pages of one sequence asked for at once: 1 for one after the other. By default it is found while "
            "reading, see concurrency.",
            4,
        ),
    ] = None
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5)
    ] = 3

    ends_by: ClassVar[EndsBy] = "count"
    path_options: ClassVar[tuple[str, ...]] = ("more", "last", "total_pages")

    @property
    def page_size(self) -> int | None:
        """``size``."""
        return self.size

    @property
    def may_count_from_zero(self) -> bool:
        """Whether ``total_pages`` may be the number of the last page instead."""
        return self.total_pages is not None and self.start == 0

    @property
    def has_fixed_pages(self) -> bool:
        """True: page numbers count pages."""
        return True

    @property
    def place(self) -> Place:
        """``send_in``."""
        return self.send_in

    @property
    def sent_names(self) -> Mapping[str, str | None]:
        """The parameters of the number and of the size."""
        return {"number": self.param, "size": self.size_param if self.size else None}

    @property
    def pages_at_once(self) -> int:
        """``prefetch`` where the author wrote it, else 1."""
        return self.prefetch or 1

    @property
    def most_at_once(self) -> int | None:
        """``prefetch``."""
        return self.prefetch

    def can_guess_pages(self, first_rows: int, *, is_announced: bool) -> bool:
        """Whether the API counts its pages, or page one shows that it honours the size that is sent."""
        counts_pages = is_announced and self.total_pages is not None
        return counts_pages or can_guess_by_size(
            self.size, self.size_param, self.short_page, first_rows
        )

    def same_page_hint(self, page: PageView) -> str:
        """Returns the hint; many APIs that count from 1 answer 0 with their first page too."""
        if self.start == 0 and page.index == 1:
            return (
                "If the API counts pages from 1 and takes 0 for 1, leave out start: 0. Else it ignores the paging parameter: check its "
                "name."
            )
        return super().same_page_hint(page)

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with the size and, unless ``send_first`` is off, the first number."""
        return self._ask(request, self.start if self.send_first else None)

    def _ask(self, request: ApiRequest, number: int | None) -> ApiRequest:
        values = {"number": (self.param, number), "size": (self.size_param, self.size)}
        return request.with_page(self.send_in, values)

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the next number, unless a page count, total or the number of rows shows that this was the last."""
        count = self.find_page_count(page)
        if count is not None and page.continues is None:
            is_last = page.index + 1 >= count
        else:
            is_last = is_last_page(page, self.size, self.short_page)
        return None if is_last else self.request_at(request, page.index + 1)

    def request_at(self, request: ApiRequest, index: int) -> ApiRequest:
        """Returns the request for page ``index``."""
        return self._ask(request, self.start + index)

    def find_page_count(self, page: PageView) -> int | None:
        """Returns the number of pages from ``total_pages``; a count of zero is ignored once rows came."""
        path = self.total_pages
        if path is None:
            return None
        count = read_count(page.find(path), f"total_pages {path}", page.where)
        return None if count == 0 and page.rows_so_far else count

    def estimate_page_count(self, page: PageView) -> int | None:
        """Returns the number of pages from ``total_pages``, else from ``total``."""
        count = self.find_page_count(page)
        return count_pages(page.total, self.size or page.first_rows) if count is None else count

    def has_own_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's
        """Whether a response has ``total_pages``."""
        return self.total_pages is not None and find_or_none(body, self.total_pages) is not None

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:
        """Yields options that need a size, and a flag that contradicts the page count."""
        yield from short_page_flaws(self.size, self.short_page)
        yield from unsent_size_flaws(self.size, self.size_param, written)
        if self.total_pages and (self.more or self.last):
            message = "total_pages and a flag both say where the end is"
            yield Flaw("contradiction", "total_pages", message, "Keep one of them.")

    def end_marker(self) -> str | None:
        """Returns the page count or exact total."""
        if self.total_pages is not None:
            return f"total_pages ({self.total_pages})"
        return total_marker(self.announced_total)
