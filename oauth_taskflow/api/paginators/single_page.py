"""The ``none`` style: one request, one page."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, ClassVar

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, PagingOptions
from oauth_taskflow.errors import PagesCutShort

if TYPE_CHECKING:  # these load the HTTP library
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest


class SinglePage(PagingOptions, frozen=True, kw_only=True, tag="none"):
    """One request, one page."""

    ends_by: ClassVar[EndsBy] = "first page"

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:  # noqa: ARG002 - the protocol's
        """Returns None: nothing follows.

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

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:  # noqa: ARG002 - the protocol's
        """Yields nothing: the style adds no options."""
        return iter(())

    def end_marker(self) -> str | None:
        """Returns None: a second page is never asked for."""
        return None
