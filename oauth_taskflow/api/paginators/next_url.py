"""The ``next_url`` style: the whole next URL in the body."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urljoin

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, PagingOptions, find_or_none
from oauth_taskflow.api.paginators.pointers import (
    STICKY,
    add_sticky,
    is_end,
    require_next_pointer,
)
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value
from oauth_taskflow.schema.types import JmesPath, doc

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.decoders.json import Body
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class NextUrlPaginator(PagingOptions, frozen=True, kw_only=True, tag="next_url"):
    """The whole next URL, absolute or relative, from the body."""

    next: Annotated[JmesPath | None, doc("Path of the next URL in the body.", "links.next")] = None
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
        """Returns the URL that the body names, text or ``{href: …}``, with sticky parameters where it lacks them."""
        found = page.find(self._path)
        if isinstance(found, dict):
            found = found.get("href")
        if found is None or found == "" or found is False:
            require_next_pointer(page, found, self._path)
            return None
        if not isinstance(found, str):
            raise InvalidRecord(
                f"The next URL at {self.next!r} is {show_value(found)}, not text", where=page.where
            )
        url = found if self.base == "api_root" else urljoin(page.url, found)
        return request.follow_url(add_sticky(url, self.sticky, page.first))

    def has_own_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's
        """Whether a response has a next URL."""
        return not is_end(find_or_none(body, self._path), (False,))

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:  # noqa: ARG002 - the protocol's
        """Yields a next URL without a place."""
        if self.next is None:
            hint = "Write next: links.next."
            yield Flaw("incomplete", "next", "nothing says where the next URL is", hint)

    def end_marker(self) -> str | None:
        """Returns the place of the next URL."""
        return f"a next URL at {self._path!r}"
