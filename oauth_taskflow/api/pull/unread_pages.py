"""Finds signs in a response that more pages follow, for endpoints without ``paginate``."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode
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
    "moreResult",
    "more_items_in_collection",
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
