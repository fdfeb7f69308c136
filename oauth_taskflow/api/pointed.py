"""Paginators that follow what the page points to: cursors, links and next URLs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from oauth_taskflow.api.links import parse_links
from oauth_taskflow.api.options import Cursors, Links, NextUrls
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord


def _check_end(page: PageView, pointer: Any, place: str) -> None:
    """Refuse an end that the page itself denies: ``more`` or ``last`` says that pages follow, and nothing points there."""
    if page.continues and not pointer:
        raise InvalidRecord(
            f"Page {page.index + 1} says that more pages follow, but has nothing at {place!r} to ask for them with",
            where=page.where,
            hint="Correct the path in paginate; without it the rest would be left out silently.",
        )


@dataclass(frozen=True)
class ByCursor:
    """An opaque page cursor."""

    options: Cursors

    def first(self, request: ApiRequest) -> ApiRequest:
        """With the size, which travels where the cursor does."""
        options = self.options
        place = "query" if options.param or not options.body else "body"
        return request.with_paging(options.size_param, options.size, place)

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The same request with the cursor of ``page``; the end when there is none."""
        options = self.options
        if page.rows == 0 and options.empty_page == "end":
            return None
        cursor = self._cursor(page)
        if self._is_end(cursor):
            _check_end(page, cursor, self.options.next or self.options.header or "the last record")
            return None
        if options.body:
            return request.with_paging(options.body, cursor, "body")
        return request.with_paging(options.param, cursor, "query")

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
        _check_end(page, None, f"the Link header with rel={self.options.rel}")
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
            _check_end(page, found, self.options.next or "next")
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
