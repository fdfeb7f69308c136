"""The ``cursor`` style: an opaque page cursor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

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
from oauth_taskflow.api.paginators.flags import quote_path
from oauth_taskflow.api.paginators.pointers import is_end, require_next_pointer
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.types import Count, JmesPath, Options, Text, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.decoders.json import Body
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class LastRecord(Options, frozen=True, kw_only=True):
    """The page cursor of the last record of a page."""

    path: Annotated[JmesPath, doc("Path of the cursor in the record.", "id")]
    absent: Annotated[
        Literal["fail", "end"],
        doc("A last record without the cursor: fail (default), or the end of the pages.", "end"),
    ] = "fail"


class CursorPaginator(PagingOptions, frozen=True, kw_only=True, tag="cursor"):
    """An opaque page cursor from the body, a response header or the last record."""

    next: Annotated[
        JmesPath | None, doc("Path of the cursor in the body.", "paging.next.after")
    ] = None
    header: Annotated[Text | None, doc("Response header that holds the cursor.", "X-Next-Page")] = (
        None
    )
    last_record: Annotated[
        JmesPath | LastRecord | None,
        doc(
            "Path of the cursor in the last record of the page, or a mapping.",
            "id",
            {"path": "paging_token", "absent": "end"},
        ),
    ] = None
    param: Annotated[Text | None, doc("Parameter that carries the cursor.", "after")] = None
    send_in: Annotated[Place, SEND_IN] = "query"
    body: Annotated[
        Text | None,
        doc(
            "Dotted path in the JSON body that carries the cursor: the same as param with send_in: body.",
            "page.after",
        ),
    ] = None
    size: Annotated[
        Count | None, doc("Rows to ask for per page; sent where the cursor travels.", 100)
    ] = None
    size_param: Annotated[str | None, SIZE_PARAM] = None
    end_values: Annotated[
        tuple[str | int | bool, ...],
        doc("Cursor values that mean the end, besides absent, null and empty text.", ["0", 0]),
    ] = ()
    empty_page: Annotated[
        Literal["continue", "end"],
        doc("An empty page with a cursor: go on (default; several APIs do that) or end.", "end"),
    ] = "continue"

    ends_by: ClassVar[EndsBy] = "pointer"
    path_options: ClassVar[tuple[str, ...]] = ("more", "last", "next", "last_record")

    @property
    def page_size(self) -> int | None:
        """``size``."""
        return self.size

    @property
    def place(self) -> Place:
        """``send_in``; the body where ``body`` carries the cursor."""
        return "body" if self.body else self.send_in

    @property
    def place_option(self) -> str:
        """``body`` where that says so."""
        return "body" if self.body else "send_in"

    @property
    def sent_names(self) -> Mapping[str, str | None]:
        """The parameters of the cursor and of the size."""
        return {
            "token": self.body or self.param,
            "size": self.size_param if self.size is not None else None,
        }

    @property
    def may_shift_pages(self) -> bool:
        """Whether the cursor is the API's own: that of the last record is a value of it."""
        return self.last_record is None

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with the size, which travels where the cursor does."""
        return self._ask(request, None)

    def _ask(self, request: ApiRequest, cursor: Any) -> ApiRequest:
        values = {"token": (self.body or self.param, cursor), "size": (self.size_param, self.size)}
        return request.with_page(self.place, values)

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the same request with the cursor of ``page``; None when the page has none."""
        if page.rows == 0 and self.empty_page == "end":
            return None
        cursor = self._find_cursor(page)
        if is_end(cursor, self.end_values):
            require_next_pointer(page, cursor, self.next or self.header or "the last record")
            return None
        return self._ask(request, cursor)

    def _find_cursor(self, page: PageView) -> Any:
        if self.header is not None:
            return page.headers.get(self.header)
        if self.next is not None:
            return page.find(self.next)
        if self.last_record is None or page.rows == 0:
            return None
        place = self.last_record
        options = LastRecord(path=place) if isinstance(place, str) else place
        cursor = page.find_in_last_record(options.path)
        if cursor is None and options.absent == "fail":
            raise InvalidRecord(
                f"The last record of page {page.index + 1} has no cursor at {options.path!r}",
                where=page.where,
                hint="Correct paginate.last_record, or write absent: end there if this is the end.",
            )
        return cursor

    def names_end(self, body: Body) -> bool:
        """Whether the key of ``next`` is there, and nothing in it."""
        return body.has_empty(self.next)

    def has_own_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:
        """Whether a response has a cursor that is not the end, in its body or headers."""
        found = [headers.get(self.header)] if self.header is not None else []
        if self.next is not None:
            found.append(find_or_none(body, self.next))
        return any(not is_end(cursor, self.end_values) for cursor in found)

    def is_marked_last(self, page: PageView) -> bool:
        """Whether the page has a cursor, which is one of ``end_values``."""
        if self.last_record is not None:
            return False
        return not is_end(self._find_cursor(page))

    def loop_hint(self, page: PageView) -> str:
        """Returns the hint for a cursor that comes again: after an empty page, that may be the API's end."""
        if page.rows == 0:
            return "If the API ends with an empty page, write empty_page: end."
        return self.pointer_hint(page) or super().loop_hint(page)

    def pointer_hint(self, page: PageView) -> str:
        """Returns the hint for a cursor that is a whole URL: frameworks call that of the next page so, too."""
        cursor = None if self.last_record is not None else self._find_cursor(page)
        if not isinstance(cursor, str) or not cursor.lower().startswith(("http://", "https://")):
            return ""
        place = (
            f"header: {self.header}"
            if self.header is not None
            else f"next: {quote_path(self.next)}"
        )
        return f"The cursor is a URL. If it is that of the next page, write paginate: {{type: next_url, {place}}}."

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:
        """Yields a cursor that is never found or never sent, and places that exclude each other."""
        sources = [name for name in ("next", "header", "last_record") if getattr(self, name)]
        if not sources:
            hint = "Write next, header or last_record."
            yield Flaw("incomplete", "next", "nothing says where the cursor is", hint)
        if not (self.body or self.param):
            hint = "Write param or body."
            message = "nothing says how the cursor is sent"
            yield Flaw("incomplete", "param", message, hint, unless_placed="token")
        yield from unsent_size_flaws(self.size, self.size_param, written)
        if len(sources) > 1:
            which = f"{', '.join(sources[:-1])} and {sources[-1]}"
            yield Flaw("contradiction", sources[1], f"{which} say where the cursor is", "Keep one.")
        if self.param and self.body:
            message = "param and body both send the cursor"
            yield Flaw("contradiction", "body", message, "Keep one of them.")
        if self.body and not self.param and self.send_in != "query":
            message = "body and send_in both say where the cursor travels"
            yield Flaw("contradiction", "send_in", message, "Write param instead of body.")

    def end_marker(self) -> str | None:
        """Returns the place of the cursor; None for one from the last record, which is always there."""
        if self.header is not None:
            return f"a header {self.header!r}"
        return f"a cursor at {self.next!r}" if self.next is not None else None
