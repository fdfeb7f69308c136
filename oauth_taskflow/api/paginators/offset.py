"""The ``offset`` style: row offsets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from oauth_taskflow.api.paginators.base import (
    SEND_IN,
    SIZE_PARAM,
    EndsBy,
    Flaw,
    PagingOptions,
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
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.types import AtOnce, Count, Whole, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class OffsetPaginator(PagingOptions, frozen=True, kw_only=True, tag="offset"):
    """Row offsets: ``?offset=0``, and so on."""

    param: Annotated[str, doc("Name of the offset parameter.", "offset", min_length=1)] = "offset"
    start: Annotated[int, doc("Offset of the first row: 0, or 1 for SCIM-like APIs.", 0, ge=0)] = 0
    size: Annotated[Count | None, doc("Rows to ask for per page.", 100)] = None
    size_param: Annotated[str | None, SIZE_PARAM] = "limit"
    unit: Annotated[Literal["rows", "pages"], doc("What the offset counts.", "rows")] = "rows"
    advance: Annotated[
        Literal["received", "size"],
        doc("Step by the rows received, safe when the server clamps the size, or by size.", "size"),
    ] = "received"
    send_in: Annotated[Place, SEND_IN] = "query"
    send_first: Annotated[
        bool, doc("Send the offset parameter with the first request too.", False)
    ] = True
    short_page: Annotated[
        ShortPage,
        doc("A page with fewer rows than size; see the page paginator.", "auto"),
    ] = "auto"
    prefetch: Annotated[
        AtOnce | None,
        doc(
            "The most pages of one sequence asked for at once; needs size. By default it is found while reading, see "
            "concurrency.",
            4,
        ),
    ] = None
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5)
    ] = 3

    ends_by: ClassVar[EndsBy] = "count"

    @property
    def page_size(self) -> int | None:
        """``size``."""
        return self.size

    @property
    def has_fixed_pages(self) -> bool:
        """Whether each offset is known beforehand."""
        return self._is_fixed

    @property
    def place(self) -> Place:
        """``send_in``."""
        return self.send_in

    @property
    def sent_names(self) -> Mapping[str, str | None]:
        """The parameters of the offset and of the size."""
        return {"offset": self.param, "size": self.size_param if self.size else None}

    @property
    def pages_at_once(self) -> int:
        """``prefetch`` where the author wrote it and offsets do not depend on the rows received, else 1."""
        return self.prefetch or 1 if self._is_fixed else 1

    @property
    def most_at_once(self) -> int | None:
        """``prefetch``."""
        return self.prefetch

    def can_guess_pages(self, first_rows: int, *, is_announced: bool) -> bool:  # noqa: ARG002 - the protocol's
        """Whether page one shows that the API honours the size that is sent."""
        return can_guess_by_size(self.size, self.size_param, self.short_page, first_rows)

    @property
    def _is_fixed(self) -> bool:
        """Whether each offset is known beforehand."""
        return self.unit == "pages" or (self.advance == "size" and self._step > 0)

    @property
    def _step(self) -> int:
        """How far the offset moves from page to page; for rows received, if every page is full."""
        return 1 if self.unit == "pages" else self.size or 0

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with the size and, unless ``send_first`` is off, the first offset."""
        return self._ask(request, self.start if self.send_first else None)

    def _ask(self, request: ApiRequest, offset: int | None) -> ApiRequest:
        values = {"offset": (self.param, offset), "size": (self.size_param, self.size)}
        return request.with_page(self.send_in, values)

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the next offset, unless a total or the number of rows shows that this was the last page.

        Raises:
            InvalidRecord: this page has rows, and the offset that led here may have left rows out or repeated some.
        """
        reached = (page.index + 1) * self._step if self._is_fixed else page.rows_so_far
        is_last = is_last_page(page, self.size, self.short_page)
        if self.unit == "rows":
            self._check_step(page)
            total = page.total if page.continues is None else None
            if total is not None and page.rows_so_far <= total:
                is_last = is_last or reached >= total  # nothing is behind the total
        if is_last:
            return None
        return self._ask(request, self.start + reached)

    def _check_step(self, page: PageView) -> None:
        """Refuses a page with rows when the page before did not show where this one begins.

        An exact total shows a loss at the end of the sequence, so that it is not looked for here.
        """
        if page.index == 0 or page.rows == 0:
            return
        if not self._is_fixed and page.is_unsure:
            raise InvalidRecord(
                f"Page {page.index + 1} has rows, and nothing shows what the offset counts: the lists that records "
                "starts from, or what is in them",
                where=page.where,
                hint="Write size, as large as the API allows, so that a full first page shows it.",
            )
        is_short = self._is_fixed and self.size is not None and page.first_rows < self.size
        if is_short and self.short_page == "auto" and page.total is None:
            raise InvalidRecord(
                f"Page 1 held {page.first_rows} of {self.size} rows, and page {page.index + 1} has more: with advance: "
                "size the rows between may have been left out",
                where=page.where,
                hint=f"If the API caps its pages, write size: {page.first_rows}. If it leaves out single rows of a "
                "page, write short_page: continue.",
            )

    def request_at(self, request: ApiRequest, index: int) -> ApiRequest:
        """Returns the request for page ``index``, counted in whole steps."""
        return self._ask(request, self.start + index * self._step)

    def find_page_count(self, page: PageView) -> int | None:  # noqa: ARG002 - the protocol's
        """Returns None: offset APIs announce rows, not pages."""
        return None

    def estimate_page_count(self, page: PageView) -> int | None:
        """Returns the number of pages from ``total``."""
        return count_pages(page.total, self.size or page.first_rows)

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:
        """Yields options that need a size, and steps that exclude each other."""
        yield from short_page_flaws(self.size, self.short_page)
        yield from unsent_size_flaws(self.size, self.size_param, written)
        if self.advance == "size" and self.size is None:
            message = "advance: size needs a size"
            yield Flaw("incomplete", "advance", message, "Write size: 100.")
        if (self.prefetch or 1) > 1 and self.size is None and self.unit == "rows":
            message = "pages cannot be fetched ahead while the offset waits for the rows received"
            hint = "Write size: 100, or remove prefetch."
            yield Flaw("contradiction", "prefetch", message, hint)
        if self.unit == "pages" and self.advance == "size":
            message = "an offset that counts pages advances by one"
            yield Flaw("contradiction", "advance", message, "Remove advance or unit.")

    def end_marker(self) -> str | None:
        """Returns the exact total."""
        return total_marker(self.announced_total)
