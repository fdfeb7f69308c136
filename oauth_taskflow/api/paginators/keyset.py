"""The ``keyset`` style: the sort key of the last record (``where id > last``)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from oauth_taskflow.api.paginators.base import (
    SEND_IN,
    SIZE_PARAM,
    EndsBy,
    Flaw,
    PagingOptions,
    SortKey,
    unsent_size_flaws,
)
from oauth_taskflow.api.paginators.cap import Place
from oauth_taskflow.api.paginators.counting import (
    ShortPage,
    is_last_page,
    short_page_flaws,
    total_marker,
)
from oauth_taskflow.errors import PaginationLimit
from oauth_taskflow.record_values import show_value
from oauth_taskflow.schema.types import Count, JmesPath, Text, Whole, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class KeysetPaginator(PagingOptions, frozen=True, kw_only=True, tag="keyset"):
    """Records sorted by a key: the key of the last record asks for those behind it (``where id > last``)."""

    key: Annotated[
        JmesPath | None, doc("Path of the key in a record; the API sorts by it.", "id")
    ] = None
    param: Annotated[Text | None, doc("Parameter that carries the last key.", "since_id")] = None
    send_in: Annotated[Place, SEND_IN] = "query"
    order: Annotated[
        Literal["ascending", "descending"],
        doc("How the API sorts; a record out of order fails.", "descending"),
    ] = "ascending"
    overlap: Annotated[
        bool,
        doc(
            "The API returns the records from the key on, those with the key itself too (>=): they are dropped when they "
            "come again, and the key need not be unique.",
            True,
        ),
    ] = False
    size: Annotated[Count | None, doc("Rows to ask for per page.", 100)] = None
    size_param: Annotated[str | None, SIZE_PARAM] = None
    short_page: Annotated[
        ShortPage, doc("A page with fewer rows than size; see the page paginator.", "auto")
    ] = "auto"
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5)
    ] = 3

    ends_by: ClassVar[EndsBy] = "count"
    path_options: ClassVar[tuple[str, ...]] = ("more", "last", "key")

    @property
    def page_size(self) -> int | None:
        """``size``."""
        return self.size

    @property
    def place(self) -> Place:
        """``send_in``."""
        return self.send_in

    @property
    def sent_names(self) -> Mapping[str, str | None]:
        """The parameters of the key and of the size."""
        return {"token": self.param, "size": self.size_param if self.size else None}

    @property
    def sort_key(self) -> SortKey:
        """``key`` in its ``order``."""
        return SortKey(self.key or "id", self.order, "paginate.key", comes_again=self.overlap)

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with the size."""
        return self._ask(request, None)

    def _ask(self, request: ApiRequest, key: Any) -> ApiRequest:
        values = {"token": (self.param, key), "size": (self.size_param, self.size)}
        return request.with_page(self.send_in, values)

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the request for what is behind the last key; None after a short or empty page, total or flag.

        Raises:
            PaginationLimit: more records have one key than a page holds, or the API ignores the key.
        """
        if page.last_key is None or is_last_page(page, self.size, self.short_page):
            return None
        following = self._ask(request, page.last_key)
        if self.overlap and following == request:  # nothing but the records of the key itself
            self._check_end_at_key(page)
            return None
        return following

    def _check_end_at_key(self, page: PageView) -> None:
        if page.rows < (self.size or page.first_rows):
            return
        key = f"the key {show_value(page.last_key, self.key or '')} at {self.key!r}"
        if page.find_in_first_record(self.key or "id") != page.last_key:
            raise PaginationLimit(
                f"The API was asked for records from {key} on, and answered with others before it",
                where=page.where,
                hint="It seems to ignore the key: check param, or the template that places page.token.",
            )
        raise PaginationLimit(
            f"A full page holds nothing but records with {key}, so that the next ones cannot be asked for",
            where=page.where,
            hint="Raise size, or take a finer key.",
        )

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:
        """Yields a key that is never found or never sent, and a total that repeats would falsify."""
        if self.key is None:
            hint = "Write key: id."
            yield Flaw(
                "incomplete", "key", "nothing says by which field the records are sorted", hint
            )
        if self.param is None:
            hint = "Write param: since_id."
            message = "nothing says how the last key is sent"
            yield Flaw("incomplete", "param", message, hint, unless_placed="token")
        yield from short_page_flaws(self.size, self.short_page)
        yield from unsent_size_flaws(self.size, self.size_param, written)
        total = self.announced_total
        if self.overlap and total.place and not total.approximate:
            message = "with overlap records come twice, so that their number is not the total"
            hint = f"Write {total.as_approximate}."
            yield Flaw("contradiction", "total", message, hint)

    def end_marker(self) -> str | None:
        """Returns the exact total."""
        return total_marker(self.announced_total)
