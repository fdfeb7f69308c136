"""Pointers to the next page, as ``cursor``, ``link`` and ``next_url`` find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oauth_taskflow.errors import InvalidRecord

if TYPE_CHECKING:  # loads the HTTP library
    from oauth_taskflow.api.pull.page import PageView


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
