"""Finds signs in the last response of a sequence that more pages follow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.json import read_members
from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.marks import UnnamedTotal
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.totals import read_header_total
from oauth_taskflow.http_headers import parse_links

# Names in public APIs. A pointer under another name is not found, and the page is read without a warning.
_FLAGS = (
    "has_more",
    "hasMore",
    "has_next",
    "hasNext",
    "has_next_page",
    "hasNextPage",
    "isTruncated",
    "is_truncated",
    "moreResult",
    "more_items_in_collection",
    "truncated",
    "IsTruncated",
)
_POINTERS = (
    "@odata.nextLink",
    "LastEvaluatedKey",
    "__next",
    "next",
    "nextCursor",
    "nextLink",
    "nextPage",
    "nextPageToken",
    "nextPageUrl",
    "nextRecordsUrl",
    "nextToken",
    "next_cursor",
    "next_link",
    "next_page",
    "next_page_token",
    "next_page_url",
    "next_token",
    "next_url",
)
# Lists of links, each with its relation: FHIR, PayPal.
_LINK_LISTS = ("link", "links")
_RELATIONS = ("rel", "relation")
_TARGETS = ("href", "url")
_PAGE_RELATIONS = frozenset({"first", "last", "prev", "previous"})
# How many records there are. "total" and "count" only where something shows that they describe the list: elsewhere they may be
# money, and "count" beside "total" or "start" is that of one page.
_TOTALS = (
    "@odata.count",
    "filter_count",
    "numFound",
    "totalCount",
    "totalElements",
    "totalEntries",
    "totalItems",
    "totalRecords",
    "totalResults",
    "totalSize",
    "total_count",
    "total_elements",
    "total_entries",
    "total_items",
    "total_records",
    "total_results",
    "total_size",
)
_VAGUE_TOTALS = ("total", "count")
_PAGING_WORDS = (
    "limit",
    "maxResults",
    "max_results",
    "offset",
    "page",
    "pageSize",
    "page_size",
    "perPage",
    "per_page",
    "previous",
    "skip",
    "start",
)
_OF_LISTS = frozenset({*_PAGING_WORDS, *_POINTERS})
# An object with nothing but these, a list and a number is the envelope of that list.
_ENVELOPE = frozenset({"code", "message", "msg", "ok", "status", "success", *_VAGUE_TOTALS})
_TOTAL_HEADERS = (
    "X-Total-Count",
    "X-Total",
    "X-WP-Total",
    "X-Pagination-Total-Count",
    "Total-Count",
    "Content-Range",
)
_PLACES = (
    "_links",
    "_meta",
    "links",
    "meta",
    "page",
    "page_info",
    "pageInfo",
    "paging",
    "pagination",
    "response_metadata",
)
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
# As in meta.pagination.links.next.
_DEEPEST = 3


@dataclass(frozen=True)
class _Place:
    """An object of a body with its paging fields; ``path`` leads there, with a dot at its end, and is empty for the root.

    ``members`` are its undecoded values, without the objects that are places themselves. ``beside`` are its keys next to the
    one that leads to the list; None where the list is not in it.
    """

    path: str
    members: dict[str, msgspec.Raw]
    beside: frozenset[str] | None

    def read(self, name: str) -> Any:
        """The value at ``name``; None when it is absent, and for a number of thousands of digits."""
        try:
            return decode(self.members[name]) if name in self.members else None
        except msgspec.MsgspecError:
            return None


def find_unnamed_total(page: PageView, options: PagingOptions | None) -> UnnamedTotal | None:
    """Returns the number of all records that ``page`` announces where the spec names none, and its place.

    None where the API ends its pages by a pointer: such numbers are often estimates. Of several, the lowest counts.
    """
    is_counted = options is None or options.ends_by == "count"
    if not is_counted or (options is not None and options.announced_total.place):
        return None
    return _find_lowest_total(page, options)


def describe_unread_pages(
    page: PageView, options: PagingOptions | None, first_total: UnnamedTotal | None, records: int
) -> str | None:
    """Returns a warning when ``page``, with which reading ends by ``options``, says that more follow; None without a sign.

    Without ``paginate``, ``options`` is None. A page without rows, a class of the author and ``type: none`` end without a doubt,
    and so do several pages with as many rows as the API announced, and a page that says itself that it is the last.
    ``first_total`` is that of page one, see ``find_unnamed_total``, and ``records`` the number of all records so far.
    """
    if options is not None and options.ends_by in {"class", "first page"}:
        return None
    is_complete = page.index > 0 and page.rows_so_far == page.total
    if options is not None and (is_complete or options.is_marked_last(page)):
        return None
    sign = find_sign_of_more(page) if options is None or page.rows else None
    if sign is None:
        return _describe_unread_rows(page, options, first_total, records)
    if options is None:
        return (
            f"The answer says that more pages follow ({sign}), and one is read {page.where}. Write paginate, or "
            "paginate: {type: none} if one is all you want."
        )
    return (
        f"Reading ends at page {page.index + 1}, and its answer says that more pages follow ({sign}) {page.where}. If it is "
        "right, records are missing from this output: correct paginate, or write more."
    )


def _describe_unread_rows(
    page: PageView, options: PagingOptions | None, first: UnnamedTotal | None, records: int
) -> str | None:
    """Returns a warning when more rows were announced than read; a single record may have such a field itself.

    A row may hold several ``records``, as in ``items[].lines[]``, and the number may be theirs.
    """
    rows = max(page.rows_so_far, records) if options is None else page.rows_so_far
    totals = [first]
    if options is not None and _may_have_missed_pointer(page, options):
        totals.append(_find_lowest_total(page, options))
    # By a key, each page may announce what is left from there on.
    if page.index > 0 and options is not None and options.has_shifting_pages:
        last = find_unnamed_total(page, options)
        is_believed = last is not None and (page.rows > 0 or last[1] >= rows)
        totals += [last] if is_believed else []
    lowest = min(filter(None, totals), key=itemgetter(1), default=None)
    return None if rows == 1 else describe_unread_rows(page.where, options, rows, records, lowest)


def describe_unread_rows(
    where: str, options: PagingOptions | None, rows: int, records: int, total: UnnamedTotal | None
) -> str | None:
    """Returns a warning for an end after ``rows`` rows when ``total`` is more, and not the number of ``records`` in them."""
    if total is None or total[1] <= rows or total[1] == records:
        return None
    announced = f"{total[1]:,} records ({total[0]})"
    if options is None:
        return (
            f"The answer announces {announced}, and one page with {rows:,} is read {where}. Write paginate, or "
            "paginate: {type: none} if one is all you want."
        )
    doubt = "" if options.sort_key is None else " and none were deleted meanwhile"
    return (
        f"Reading ends after {rows:,} records, and the API announced {announced} {where}. If it is right{doubt}, records are "
        "missing from this output: correct paginate, and write total there."
    )


def find_sign_of_more(page: PageView) -> str | None:
    """Returns the key or header by which ``page`` says that another one follows, such as ``has_more``; None without one."""
    links = parse_links(page.headers.get("Link", "")).found
    if any("next" in link.rels and link.is_about(page.url) for link in links):
        return "a Link header with rel=next"
    signs = (f"{place.path}{name}" for place in _find_places(page) for name in _find_signs(place))
    return next(signs, None)


def _may_have_missed_pointer(page: PageView, options: PagingOptions) -> bool:
    """Whether no pointer was ever found, and nothing on the first page says that it is the last."""
    may_be_elsewhere = options.ends_by == "pointer" and page.index == 0
    if not may_be_elsewhere or options.announced_total.place or options.names_end(page.body):
        return False
    return not _denies_more(page)


def _denies_more(page: PageView) -> bool:
    """Whether ``page`` has a flag that is false, an empty pointer, or links to other pages only, under names of public APIs."""
    links = parse_links(page.headers.get("Link", "")).found
    if any(not _PAGE_RELATIONS.isdisjoint(link.rels) for link in links):
        return True
    return any(
        not place.members.keys().isdisjoint(_POINTERS)
        or any(place.read(name) is False for name in _FLAGS)
        for place in _find_places(page)
    )


def _find_lowest_total(page: PageView, options: PagingOptions | None) -> UnnamedTotal | None:
    return min(_find_totals(page, options), key=itemgetter(1), default=None)


def _find_totals(page: PageView, options: PagingOptions | None) -> Iterator[UnnamedTotal]:
    """Yields each place with a number of all records, and the number."""
    for header in _TOTAL_HEADERS:
        value = read_header_total(page.headers.get(header))
        if type(value) is int and not page.headers[header].startswith("bytes"):
            yield header, value
    for place in _find_places(page):
        totals = list(_read_numbers(place, _TOTALS))
        vague = dict(_read_numbers(place, _VAGUE_TOTALS))
        is_of_list = place.beside is None or not _OF_LISTS.isdisjoint(place.members)
        if is_of_list or options is not None or _is_envelope(place, page, vague):
            is_of_page = totals or len(vague) > 1 or "start" in place.members
            if is_of_page or (options is not None and vague.get("count") == options.page_size):
                vague.pop("count", None)
            totals += vague.items()
        yield from ((place.path + name, number) for name, number in totals)


def _read_numbers(place: _Place, names: tuple[str, ...]) -> Iterator[UnnamedTotal]:
    for name in names:
        value = place.read(name)
        if isinstance(value, dict):  # Elasticsearch's hits.total.value
            name, value = f"{name}.value", value.get("value")  # noqa: PLW2901
        if isinstance(value, str) and _DIGITS.fullmatch(value):  # as PHP often writes numbers
            value = int(value)
        if type(value) is int:
            yield name, value


def _is_envelope(place: _Place, page: PageView, totals: dict[str, int]) -> bool:
    """Whether the object exists for the list in it, so that a number beside the list is one of records."""
    if len(totals) > 1 and totals.get("count") != page.rows:
        return False
    return place.beside is not None and place.beside <= _ENVELOPE


def _find_places(page: PageView) -> Iterator[_Place]:
    """Yields the objects that may describe the paging: the root, those around the list, and what is named so in them."""
    members, path = page.body.members, ""
    for key in page.list_keys or ("",):
        yield from _descend(members, path, members.keys() - {key})
        members, path = _read_object(members.get(key)) or {}, f"{path}{key}."


def _descend(
    members: dict[str, msgspec.Raw], path: str, beside: Collection[str] | None, depth: int = 0
) -> Iterator[_Place]:
    inner = {name: _read_object(members.get(name)) for name in _PLACES}
    own = {name: raw for name, raw in members.items() if inner.get(name) is None}
    yield _Place(path, own, None if beside is None else frozenset(beside))
    for name, found in inner.items():
        if found is not None and depth < _DEEPEST:
            yield from _descend(found, f"{path}{name}.", None, depth + 1)


def _read_object(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw] | None:
    return None if raw is None else read_members(raw)


def _find_signs(place: _Place) -> Iterator[str]:
    yield from (name for name in _FLAGS if place.read(name) is True)
    yield from (name for name in _POINTERS if _leads_on(name, place.read(name)))
    yield from (name for name in _LINK_LISTS if _has_next_link(place.read(name)))


def _leads_on(name: str, pointer: Any) -> bool:
    if isinstance(pointer, dict):  # an empty link: {"href": null, "rel": "next"}
        targets = [pointer[key] for key in _TARGETS if key in pointer] or pointer.values()
        return any(targets)
    if isinstance(pointer, str) and name == "next":  # a field of a single record may have this name
        return "/" in pointer or "?" in pointer
    if isinstance(pointer, str):  # X ends by "0", others by "-1"
        return pointer not in {"", "0", "-1"}
    return isinstance(pointer, int) and not isinstance(pointer, bool) and pointer > 0


def _has_next_link(links: Any) -> bool:
    found = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return any(
        "next" in map(link.get, _RELATIONS) and any(map(link.get, _TARGETS)) for link in found
    )
