"""Finds signs in the last response of a sequence that more pages follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from urllib.parse import parse_qsl

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.asked_sizes import find_asked_size
from oauth_taskflow.api.pull.marks import UnnamedTotal
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.paging_fields import (
    COUNTS,
    LAST_NUMBERS,
    OWN_NUMBERS,
    PAGE_COUNTS,
    POINTER_HEADERS,
    POINTERS,
    TOTALS,
    VAGUE_TOTALS,
    Number,
    Place,
    find_places,
    is_pointer,
    plain_name,
)
from oauth_taskflow.api.pull.totals import read_header_total
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.http_headers import parse_links

_TOTAL_HEADERS = (
    "Total",
    "X-Total-Count",
    "X-Total",
    "X-WP-Total",
    "X-Pagination-Total-Count",
    "Total-Count",
    "Content-Range",
)
_PAGE_COUNT_HEADERS = (
    "X-Total-Pages",
    "X-WP-TotalPages",
    "X-Pagination-Page-Count",
    "X-Page-Count",
    "X-Pages",
    "Total-Pages",
)
# Fewer rows are not a full page: many short ones have as many by chance.
FEWEST_ROWS = 10
_PAGE_RELATIONS = frozenset({"first", "last", "prev", "previous"})
# Parameters of CouchDB that ask for a part of a view.
_KEY_RANGE = frozenset({"endkey", "key", "keys", "startkey"})


def looks_full(rows: int) -> bool:
    """Whether ``rows`` is a round number, which is most likely the server's default page size."""
    return rows >= FEWEST_ROWS and (rows % 10 == 0 or rows % 25 == 0)


def find_unnamed_total(page: PageView, options: PagingOptions | None) -> UnnamedTotal | None:
    """Returns the number of all records that ``page`` announces where the spec names none, and its place.

    A total that the spec names counts as named once a page had it: a misspelled one is never found.
    The lowest of several counts. Where the API ends its pages by a pointer, such numbers are often estimates.
    """
    is_read_on = options is None or options.ends_by in {"count", "pointer"}
    if not is_read_on or page.announced is not None:
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
        unread = _describe_unread_rows(page, options, first_total, records)
        return unread or (_describe_only_page(page, records) if options is None else None)
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
    if options is not None and options.ends_by == "pointer":
        first = first if _denies_end_by_pointer(page, options, first) else None
    totals = [first]
    # By a key, each page may announce what is left from there on.
    if page.index > 0 and options is not None and options.has_shifting_pages:
        last = find_unnamed_total(page, options)
        is_believed = last is not None and (page.rows > 0 or last[1] >= rows)
        totals += [last] if is_believed else []
    lowest = min(filter(None, totals), key=itemgetter(1), default=None)
    return None if rows == 1 else describe_unread_rows(page.where, options, rows, records, lowest)


def _describe_only_page(page: PageView, records: int) -> str | None:
    """Returns a warning when the only page announces further ones, or is full; None where something in it says that it is all."""
    if page.rows < 2 or _has_end_flag(page) or _has_empty_pointer(page):
        return None
    if _announces_all(page, records, None):
        return None
    remedy = "paginate: {type: none}"
    count = _find_page_count(page)
    if count is not None:
        return (
            f"The answer announces {count[1]:,} pages ({count[0]}), and one is read {page.where}. Write paginate, or {remedy} if one is "
            "all you want."
        )
    # Without a size in the request a page may look full too, but round numbers are no sign: many lists are as long for good,
    # such as 50 states, 250 countries or a catalog of 100.
    asked = find_asked_size(page.first, page.rows) if page.rows >= FEWEST_ROWS else None
    if asked is None:
        return None
    name, size = asked
    full = f"is as full as the request asks for ({name}: {size:,})"
    if size > page.rows:
        full = f"has {page.rows:,} records, which many APIs allow at most, and the request asks for more ({name}: {size:,})"
    return (
        f"The answer {full}, and one page is read {page.where}. If there may be more, write paginate; if one page is all you want, "
        f"{remedy}."
    )


def _find_page_count(page: PageView) -> tuple[str, int] | None:
    """Returns a number of several pages, and its place; None without one, or where the page names itself a later one."""
    for header in _PAGE_COUNT_HEADERS:
        value = read_header_total(page.headers.get(header))
        if isinstance(value, int) and value > 1:
            return header, value
    for place in find_places(page):
        if any(number.value > 1 for number in place.find_numbers(OWN_NUMBERS)):
            continue
        names = PAGE_COUNTS | LAST_NUMBERS if place.is_of_list else PAGE_COUNTS - {"pages"}
        for number in place.find_numbers(names):
            if number.value > 1:
                return f"{place.path}{number.key}", number.value
    return None


def is_surely_last(page: PageView, options: PagingOptions, records: int) -> bool:
    """Whether ``page``, with which reading ends, shows that nothing is misread.

    Its next pointer is there, and empty; or it is the only one, and announces as many rows as it has, or as the ``records`` in them.
    Of a page that is read alone, a flag that nothing follows and an empty pointer count under any name that is known.
    """
    if options.names_end(page.body):
        return True
    if options.ends_by == "first page" and (_has_end_flag(page) or _has_empty_pointer(page)):
        return True
    return page.index == 0 and _announces_all(page, records, options)


def _announces_all(page: PageView, records: int, options: PagingOptions | None) -> bool:
    """Whether ``page``, the only one, announces as many rows or ``records`` as came; a count may be that of the page.

    Where a count ends the pages, so may a total that the author names, unless its name is one for all records.
    """
    all_read = {page.rows, records}
    if options is not None and options.ends_by == "pointer" and page.total in all_read:
        return True
    named = ""
    if options is not None and options.ends_by == "count":
        named = options.announced_total.place
    return any(
        number.value in all_read
        and number.is_exact
        and number.name not in (VAGUE_TOTALS if number.key == named else COUNTS)
        for number in _find_totals(page, options)
    )


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
    headers = (name for name in POINTER_HEADERS if is_pointer(page.headers.get(name)))
    return find_sign_in(list(find_places(page)), headers)


def find_sign_in(places: list[Place], headers: Iterable[str] = ()) -> str | None:
    """Returns the key by which ``places`` say that more follows, or one of the ``headers`` that do; None without one."""
    flags = [(f"{p.path}{key}", says_more) for p in places for key, says_more in p.find_flags()]
    said = [key for key, says_more in flags if says_more]
    # With flags that say that nothing follows, Zendesk has links, and Plaid a token for what changes later.
    if flags:
        return next(iter(said), None)
    fields = (f"{place.path}{key}" for place in places for key in place.find_pointers())
    return next(chain(headers, fields), None)


def _denies_end_by_pointer(
    page: PageView, options: PagingOptions, first: UnnamedTotal | None
) -> bool:
    """Whether the total of the first page outweighs that ``page`` has no pointer.

    On page one nothing may say that it is the last. After it, the pointer is under the right name, and the page may really be the
    last one: only a full or empty page that announces as many as the first denies that. Estimates change from page to page or are
    round. An empty one, with or without that number, may come from a cache, or from a server that could not answer.
    """
    if first is None or _has_end_flag(page):
        return False
    names_end = options.names_end(page.body) or _has_empty_pointer(page)
    if page.index == 0:
        return not names_end
    may_go_on = page.first_rows >= FEWEST_ROWS and page.rows in {0, page.first_rows}
    last = _find_lowest_total(page, options)
    is_estimate = first[1] % 100 == 0 or last not in ({first} if page.rows else {first, None})
    if not may_go_on or is_estimate:
        return False
    # A few rows may be ones that the API counts and hides; a further page is more than that.
    is_named_end = names_end or not page.rows
    return not is_named_end or first[1] - page.rows_so_far >= page.first_rows


def _has_end_flag(page: PageView) -> bool:
    """Whether ``page`` has a flag under a name of public APIs that says that nothing follows."""
    places = find_places(page)
    return not all(says_more for place in places for _, says_more in place.find_flags())


def _has_empty_pointer(page: PageView) -> bool:
    """Whether ``page``, which leads nowhere, has a pointer under a name of public APIs, or links to other pages only."""
    links = parse_links(page.headers.get("Link", "")).found
    if any(not _PAGE_RELATIONS.isdisjoint(link.rels) for link in links):
        return True
    if any(name in page.headers for name in POINTER_HEADERS):
        return True
    return any(True for place in find_places(page) for _ in place.find(POINTERS))


def _find_lowest_total(page: PageView, options: PagingOptions | None) -> UnnamedTotal | None:
    totals = ((number.key, number.value) for number in _find_totals(page, options))
    return min(totals, key=itemgetter(1), default=None)


def _find_totals(page: PageView, options: PagingOptions | None) -> Iterator[Number]:
    """Yields each number of all records; its key leads to it from the root."""
    for header in _TOTAL_HEADERS:
        value = read_header_total(page.headers.get(header))
        if type(value) is int and not page.headers[header].startswith("bytes"):
            yield Number("", header, value)
    for place in find_places(page):
        totals = [
            number
            for number in place.find_numbers(TOTALS)
            if number.name != "totalrows" or not _asks_for_key_range(page.first)
        ]
        vague = list(place.find_numbers(VAGUE_TOTALS))
        if place.is_of_list or options is not None or _is_envelope(place, page, vague):
            is_of_page = totals or len(vague) > 1 or place.has_start
            size = None if options is None else options.page_size
            totals += [
                number
                for number in vague
                if number.name not in COUNTS or not (is_of_page or number.value == size)
            ]
        yield from (number._replace(key=f"{place.path}{number.key}") for number in totals)


def _is_envelope(place: Place, page: PageView, totals: list[Number]) -> bool:
    """Whether the object exists for the list in it, so that a number next to the list is one of records."""
    counts = {number.value for number in totals if number.name in COUNTS}
    return place.is_envelope and (len(totals) < 2 or page.rows in counts)


def _asks_for_key_range(request: ApiRequest) -> bool:
    """Whether CouchDB would answer a part of a view, whose ``total_rows`` counts the whole view."""
    names = {*request.params, *(request.json if isinstance(request.json, dict) else ())}
    names.update(name for name, _ in parse_qsl(request.path.partition("?")[2]))
    return not _KEY_RANGE.isdisjoint(map(plain_name, names))
