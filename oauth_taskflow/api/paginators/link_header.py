"""The ``link`` style: the ``Link`` response header."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, PagingOptions
from oauth_taskflow.api.paginators.pointers import STICKY, find_next_url, require_next_pointer
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.types import doc

if TYPE_CHECKING:  # specs load this module where DAGs are parsed
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest
    from oauth_taskflow.http_headers import Link


class LinkHeaderPaginator(PagingOptions, frozen=True, kw_only=True, tag="link"):
    """The ``Link`` response header (RFC 8288)."""

    rel: Annotated[str, doc("Relation type of the next page.", "next", min_length=1)] = "next"
    require: Annotated[
        dict[str, str],
        doc("Link attributes the next link must carry; else it is the end.", {"results": "true"}),
    ] = {}

    sticky: Annotated[tuple[str, ...], STICKY] = ()

    ends_by: ClassVar[EndsBy] = "pointer"

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the target of the first link of the relation about this page.

        None without such a link, and when its attributes are not those required.

        Raises:
            InvalidRecord: a flag says that pages follow, the header cannot be read to its end, or the target is no URL.
        """
        from oauth_taskflow.http_headers import parse_links  # noqa: PLC0415  # loads email.utils

        links = parse_links(page.headers.get("Link", ""))
        link = next((link for link in links.found if self._leads_on(link, page.url)), None)
        if link is not None and self._is_required(link):
            return request.follow_url(find_next_url(page, link.target, self.sticky))
        if link is None and links.is_malformed:
            raise InvalidRecord(
                f"The Link header of page {page.index + 1} cannot be read to its end, and no link before has "
                f"rel={self.rel}",
                where=page.where,
                hint="The API breaks RFC 8288; page by another style.",
                retryable=True,
            )
        require_next_pointer(page, None, f"the Link header with rel={self.rel}")
        return None

    def _leads_on(self, link: Link, url: str) -> bool:
        return self.rel.lower() in link.rels and link.is_about(url)

    def _is_required(self, link: Link) -> bool:
        wanted = self.require.items()
        return all(link.attributes.get(name.lower(), "").strip() == value for name, value in wanted)

    def is_marked_last(self, page: PageView) -> bool:
        """Whether the page has a link of the relation, without the attributes that are required."""
        from oauth_taskflow.http_headers import parse_links  # noqa: PLC0415  # loads email.utils

        return any(
            self._leads_on(link, page.url)
            for link in parse_links(page.headers.get("Link", "")).found
        )

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:  # noqa: ARG002 - the protocol's
        """Yields nothing: every option has a default that works."""
        return iter(())

    def end_marker(self) -> str | None:
        """Returns the relation of the link."""
        return f"a Link header with rel={self.rel}"
