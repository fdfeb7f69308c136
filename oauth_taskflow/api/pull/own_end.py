"""Whether a page says itself that it is the last one, in fields that the spec does not name.

Some servers answer every number behind the last page with that page again. Only a word of the page itself distinguishes that from an API
that ignores the paging parameter, so anything that may speak against it counts more than what speaks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.paging_fields import (
    BACK,
    COUNTS,
    LAST_NUMBERS,
    PAGE_COUNTS,
    POINTER_HEADERS,
    POINTERS,
    Place,
    find_places,
    is_pointer,
    plain_name,
)
from oauth_taskflow.api.pull.unread_pages import (
    FEWEST_ROWS,
    find_sign_of_more,
    find_unnamed_total,
    looks_full,
)
from oauth_taskflow.http_headers import parse_links

_PAGE_NUMBERS = PAGE_COUNTS | LAST_NUMBERS


def names_own_end(page: PageView, options: PagingOptions) -> bool:
    """Whether ``page`` says that no page follows: by an empty pointer, a flag, or a total or page count that is reached.

    Never where the author names a flag, which says more than anything that is found here.
    """
    if options.more is not None or options.last is not None or find_sign_of_more(page) is not None:
        return False
    words = [*_read_totals(page, options), *_read_fields(page), *_read_pointers(page)]
    return True in words and False not in words


def describe_lone_page(page: PageView, options: PagingOptions) -> str | None:
    """Returns a warning where ``page`` is page one once more, and full: an API that ignores the paging parameter answers so, too.

    Its empty pointer may be a field that it never fills.
    """
    size, rows = options.page_size, page.rows
    is_full = rows == size if size is not None else looks_full(rows)
    if page.index != 1 or rows < FEWEST_ROWS or not is_full or True in _read_fields(page):
        return None
    return (
        f"Page 2 held exactly what page 1 held ({rows:,} rows), and page 1 says that no other follows {page.where}. If the API ignores "
        "the paging parameter, records are missing from this output: check its name, or write total or total_pages."
    )


def _read_totals(page: PageView, options: PagingOptions) -> Iterator[bool | None]:
    """Yields True for a total that is reached, False for one that is not, and None for one that may count this page alone."""
    if page.announced is not None and page.announced > page.rows_so_far:
        yield False
    elif page.total is not None:  # no estimate
        yield page.rows_so_far == page.total
    unnamed = find_unnamed_total(page, options)
    if unnamed is not None:
        name, total = unnamed
        is_of_page = plain_name(name.rpartition(".")[2]) in COUNTS
        reached = None if is_of_page else page.rows_so_far == total
        yield False if total > page.rows_so_far else reached


def _read_fields(page: PageView) -> Iterator[bool]:
    """Yields what each flag and number of pages says about the end after ``page``."""
    for place in find_places(page):
        yield from (not says_more for _, says_more in place.find_flags())
        yield from _read_page_counts(place, page.index + 1)


def _read_page_counts(place: Place, pages: int) -> Iterator[bool]:
    for number in place.find_numbers(_PAGE_NUMBERS):
        # The number of the last page may be one less than that of all, so it can deny an end and never name it.
        if number.value > pages or number.name in PAGE_COUNTS:
            yield number.value <= pages


def _read_pointers(page: PageView) -> Iterator[bool]:
    """Yields what each pointer says about the end after ``page``, which leads nowhere."""
    if any(name in page.headers for name in POINTER_HEADERS):
        yield True  # one that leads on is a sign of more
    links = parse_links(page.headers.get("Link", "")).found
    if any(not BACK.isdisjoint(link.rels) for link in links):
        yield True
    for place in find_places(page):
        yield from (_is_empty(value) for _, _, value in place.find(POINTERS))


def _is_empty(pointer: Any) -> bool:
    if isinstance(pointer, dict):  # {"href": null}
        return not any(pointer.values())
    return not pointer or (isinstance(pointer, str | int) and not is_pointer(pointer))
