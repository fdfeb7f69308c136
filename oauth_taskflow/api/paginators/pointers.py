"""Pointers to the next page, as ``cursor``, ``link`` and ``next_url`` find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value
from oauth_taskflow.schema.types import doc

if TYPE_CHECKING:  # loads the HTTP library
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest

STICKY = doc(
    "Query parameters of the first request added when the next URL lacks them.", ["api_key"]
)


def require_next_pointer(page: PageView, pointer: Any, place: str) -> None:
    """Refuses an end that the page itself denies.

    Raises:
        InvalidRecord: ``more`` or ``last`` says that pages follow, and ``pointer`` is absent.
    """
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


def find_next_url(
    page: PageView, found: str, sticky: Sequence[str], *, is_whole: bool = False
) -> str:
    """Returns the URL ``found`` in ``page``, relative to the page's own unless it ``is_whole``, with its ``sticky`` parameters.

    Raises:
        InvalidRecord: it is no URL.
    """
    try:
        url = found if is_whole else urljoin(page.url, found)
        return add_sticky(url, sticky, page.first)
    except ValueError as error:  # of urllib: an IPv6 address without its bracket, and the like
        raise InvalidRecord(
            f"The next URL of page {page.index + 1} cannot be read: {show_value(found, '')}",
            where=page.where,
            hint="The API seems to answer with a broken URL; run the task again, or page by another style.",
            retryable=True,
        ) from error


def add_sticky(url: str, names: Sequence[str], first: ApiRequest) -> str:
    """Returns ``url`` with those query parameters of the ``first`` request among ``names`` that it lacks.

    What is there stays byte for byte, and before a fragment.
    """
    base, mark, fragment = url.partition("#")
    present = {name for name, _ in parse_qsl(urlsplit(base).query, keep_blank_values=True)}
    for name in names:
        for value in [] if name in present else find_sent_values(name, first):
            base += f"{'&' if '?' in base else '?'}{quote(name, safe='')}={quote(value, safe='')}"
    return base + mark + fragment


def find_sent_values(name: str, request: ApiRequest) -> list[str]:
    """Returns the values of a query parameter as ``request`` sends them, decoded; none where it does not have it."""
    if name not in request.params:
        query = parse_qsl(urlsplit(request.path).query, keep_blank_values=True)
        return [value for key, value in query if key == name]
    value = request.params[name]
    values = value if isinstance(value, list | tuple) else [value]
    return [_as_text(item) for item in values if item is not None]


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
