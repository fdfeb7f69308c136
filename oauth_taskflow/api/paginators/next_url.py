"""The ``next_url`` style: the whole next URL in the body or in a header."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, PagingOptions, find_or_none
from oauth_taskflow.api.paginators.pointers import (
    STICKY,
    find_next_url,
    is_end,
    require_next_pointer,
)
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value
from oauth_taskflow.schema.types import JmesPath, Text, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.decoders.json import Body
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest

_NOT_FOUND = 404


class NextUrlPaginator(PagingOptions, frozen=True, kw_only=True, tag="next_url"):
    """The whole next URL, absolute or relative, from the body or a response header."""

    next: Annotated[JmesPath | None, doc("Path of the next URL in the body.", "links.next")] = None
    header: Annotated[Text | None, doc("Response header that holds the next URL.", "Next-Page")] = (
        None
    )
    base: Annotated[
        Literal["url", "api_root"],
        doc(
            "What a relative URL is relative to: the page's own URL (RFC 3986) or the API base.",
            "url",
        ),
    ] = "url"
    sticky: Annotated[tuple[str, ...], STICKY] = ()

    ends_by: ClassVar[EndsBy] = "pointer"
    path_options: ClassVar[tuple[str, ...]] = ("more", "last", "next")

    @property
    def _path(self) -> str:
        return self.next or "next"

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the URL that the page names, text or ``{href: …}``, with sticky parameters where it lacks them."""
        found = page.headers.get(self.header) if self.header else page.find(self._path)
        if isinstance(found, dict):
            found = found.get("href")
        if found is None or found == "" or found is False:
            place = f"the header {self.header}" if self.header else self._path
            require_next_pointer(page, found, place)
            return None
        if not isinstance(found, str):
            raise InvalidRecord(
                f"The next URL at {self.next!r} is {show_value(found)}, not text", where=page.where
            )
        is_whole = self.base == "api_root"
        return request.follow_url(find_next_url(page, found, self.sticky, is_whole=is_whole))

    def refusal_hint(self, status: int) -> str:
        """Returns the hint for a relative URL that was meant below the API's base, as those of OData are."""
        if status != _NOT_FOUND or self.base == "api_root":
            return ""
        return "If the API's next URLs are relative to its base URL, not to that of the page, write base: api_root in paginate."

    def names_end(self, body: Body) -> bool:
        """Whether the key of ``next`` is there, and nothing in it."""
        return body.has_empty(self.next)

    def has_own_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:
        """Whether a response has a next URL."""
        if self.header:
            return bool(headers.get(self.header))
        return not is_end(find_or_none(body, self._path), (False,))

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:  # noqa: ARG002 - the protocol's
        """Yields a next URL without a place, or with two."""
        if self.next is None and self.header is None:
            hint = "Write next: links.next, or header: Next-Page."
            yield Flaw("incomplete", "next", "nothing says where the next URL is", hint)
        if self.next is not None and self.header is not None:
            message = "next and header say where the next URL is"
            yield Flaw("contradiction", "header", message, "Keep one.")

    def end_marker(self) -> str | None:
        """Returns the place of the next URL."""
        return (
            f"a next URL in the header {self.header}"
            if self.header
            else f"a next URL at {self._path!r}"
        )
