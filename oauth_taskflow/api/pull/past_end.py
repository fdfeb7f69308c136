"""Distinguishes an API's own error status behind its last page from that of something else that answered, such as a login page or proxy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import requests

from oauth_taskflow.api.decoders.json import looks_like_html
from oauth_taskflow.api.paginators.base import PAST_THE_END, PagingOptions

_ELSEWHERE = (
    "The request was redirected to another path, so HTTP {status} is not the end of the pages. If that is a login page, check that "
    "the token is accepted; if the API has moved, correct the path."
)


def is_elsewhere(response: requests.Response, before: str) -> bool:
    """Whether redirects led to another path than the one asked for, and than that of the URL ``before``, which gave the page before.

    An API may have moved, so that it redirects each page. A slash at the end does not count.
    """
    asked = response.history[0].url if response.history else response.url
    return _path_in(response.url) not in {_path_in(asked), _path_in(before)}


def _path_in(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/")


def find_end_hint(
    options: PagingOptions, response: requests.Response, before: str, pointer_hint: str = ""
) -> str:
    """Returns the hint for an error status after page one; empty without one. ``before`` is explained at ``is_elsewhere``.

    ``pointer_hint`` is what page one shows about the pointer that led on, see ``PagingOptions.pointer_hint``.
    """
    status = response.status_code
    hint = options.refusal_hint(status) or (pointer_hint if status in PAST_THE_END else "")
    if not is_elsewhere(response, before):
        return hint
    is_about_end = bool(hint) or status in options.end_on_status
    return _ELSEWHERE.format(status=status) if is_about_end else ""


def describe_foreign_end(response: requests.Response, page: int, where: str) -> str | None:
    """Returns a warning when the answer after the last ``page`` (from 1) is an HTML page, where the pages were JSON; else None."""
    kind = response.headers.get("Content-Type", "").lower()
    content = response.content.strip()
    if not content or not ("html" in kind or looks_like_html(content)):
        return None
    return (
        f"HTTP {response.status_code} with an HTML page ended reading after page {page} {where}, and the pages were JSON: a proxy or "
        "another server may have answered. If so, records are missing from this output. Write total in paginate if the API has one."
    )
