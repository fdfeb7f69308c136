"""Paginators that follow what the page points to: cursors, links and next URLs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from oauth_taskflow.api.options import Cursors, Links, NextUrls
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.http_headers import Link, parse_links


def _check_end(page: PageView, pointer: Any, place: str) -> None:
    """Refuse an end that the page itself denies: ``more`` or ``last`` says that pages follow, and nothing points there."""
    if page.continues and not pointer:
        raise InvalidRecord(
            f"Page {page.index + 1} says that more pages follow, but has nothing at {place!r} to ask for them with",
            where=page.where,
            hint="Correct the path in paginate; without it the rest would be left out silently.",
        )


def is_end(pointer: Any, end_values: Sequence[Any] = ()) -> bool:
    """Whether ``pointer`` leads nowhere: absent, empty, or one of ``end_values`` with the same type."""
    if pointer is None or pointer == "" or pointer in ([], {}):
        return True
    return any(type(pointer) is type(end) and pointer == end for end in end_values)


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
        if is_end(cursor, options.end_values):
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


@dataclass(frozen=True)
class ByLink:
    """The ``Link`` header (RFC 8288)."""

    options: Links

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is."""
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """The target of the first link of the relation about this page; the end when its attributes are not those required.

        Raises:
            InvalidRecord: a flag says that pages follow, or the header cannot be read to its end.
        """
        links = parse_links(page.headers.get("Link", ""))
        link = next((link for link in links.found if self._leads_on(link, page.url)), None)
        if link is not None and self._is_required(link):
            return request.at_url(urljoin(page.url, link.target))
        if link is None and links.is_malformed:
            raise InvalidRecord(
                f"The Link header of page {page.index + 1} cannot be read to its end, and no link before has "
                f"rel={self.options.rel}",
                where=page.where,
                hint="The API breaks RFC 8288; page by another style.",
                retryable=True,
            )
        _check_end(page, None, f"the Link header with rel={self.options.rel}")
        return None

    def _leads_on(self, link: Link, url: str) -> bool:
        return self.options.rel.lower() in link.rels and link.is_about(url)

    def _is_required(self, link: Link) -> bool:
        wanted = self.options.require.items()
        return all(link.attributes.get(name.lower(), "").strip() == value for name, value in wanted)


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
