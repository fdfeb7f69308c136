"""Finds signs in the last response of a sequence that more pages follow."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.page import PageView
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
_PLACES = (
    "_links",
    "links",
    "meta",
    "page_info",
    "pageInfo",
    "paging",
    "pagination",
    "response_metadata",
)
_NAMES = (*_FLAGS, *_POINTERS, *_PLACES)
_Signs = msgspec.defstruct(
    "Signs",
    [
        (f"field{number}", msgspec.Raw, msgspec.field(name=name, default=msgspec.Raw(b"")))
        for number, name in enumerate(_NAMES)
    ],
)
_read = msgspec.json.Decoder(_Signs).decode


def describe_unread_pages(page: PageView, options: PagingOptions | None) -> str | None:
    """Returns a warning when ``page``, with which reading ends by ``options``, says that more follow; None without a sign.

    Without ``paginate``, ``options`` is None. A page without rows, a class of the author and ``type: none`` end without a doubt,
    and so do several pages with as many rows as the API announced, and a page that says itself that it is the last.
    """
    if options is not None and (options.ends_by in {"class", "first page"} or page.rows == 0):
        return None
    is_complete = page.index > 0 and page.rows_so_far == page.total
    if options is not None and (is_complete or options.is_marked_last(page)):
        return None
    sign = find_sign_of_more(page)
    if sign is None:
        return None
    if options is None:
        return (
            f"The answer says that more pages follow ({sign}), and one is read {page.where}. Write paginate, or "
            "paginate: {type: none} if one is all you want."
        )
    return (
        f"Reading ends at page {page.index + 1}, and its answer says that more pages follow ({sign}) {page.where}. If it is "
        "right, records are missing from this output: correct paginate, or write more."
    )


def find_sign_of_more(page: PageView) -> str | None:
    """Returns the key or header by which ``page`` says that another one follows, such as ``has_more``; None without one."""
    links = parse_links(page.headers.get("Link", "")).found
    if any("next" in link.rels and link.is_about(page.url) for link in links):
        return "a Link header with rel=next"
    if not page.body.json.startswith(b"{"):
        return None
    raws = msgspec.structs.astuple(_read(page.body.json))
    found = {name: decode(raw) for name, raw in zip(_NAMES, raws, strict=True) if bytes(raw)}
    places = {"": found} | {
        f"{name}.": found[name] for name in _PLACES if isinstance(found.get(name), dict)
    }
    return next(
        (f"{place}{name}" for place, fields in places.items() for name in _find_signs(fields)), None
    )


def _find_signs(fields: dict[str, Any]) -> list[str]:
    flags = [name for name in _FLAGS if fields.get(name) is True]
    return flags + [name for name in _POINTERS if _leads_on(name, fields.get(name))]


def _leads_on(name: str, pointer: Any) -> bool:
    if isinstance(pointer, str) and name == "next":  # a field of a single record may have this name
        return "/" in pointer or "?" in pointer
    is_number = isinstance(pointer, int) and not isinstance(pointer, bool)
    return bool(pointer) and (is_number or isinstance(pointer, str | dict))
