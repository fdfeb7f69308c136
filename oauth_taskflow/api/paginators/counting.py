"""Rows and pages as ``page`` and ``offset`` count them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from oauth_taskflow.api.paginators.base import Flaw, TotalRows

if TYPE_CHECKING:  # loads the HTTP library
    from oauth_taskflow.api.pull.page import PageView

ShortPage = Literal["end", "continue", "auto"]


def is_last_page(page: PageView, size: int | None, short_page: ShortPage) -> bool:
    """Whether the rows show that this was the last page. Flags and totals decide instead where the API sends them."""
    if page.continues is not None:
        return False
    if page.rows == 0:
        return True
    # A total below what already came is wrong: then the rows show where the end is, as without one.
    if page.total is not None and page.rows_so_far <= page.total:
        return page.rows_so_far == page.total
    if page.announced is not None and page.rows_so_far < page.announced:
        return False  # an estimate says that this page is short by chance
    if size is None or page.rows >= size or short_page == "continue":
        return False
    # A first page of exactly size rows shows that the server honours the size and does not clamp it.
    return short_page == "end" or page.first_rows == size


def count_pages(total: int | None, size: int | None) -> int | None:
    """Returns the number of pages of ``size`` rows that ``total`` rows fill; None when either is unknown."""
    return None if total is None or not size else -(-total // size)


def can_guess_by_size(
    size: int | None, size_param: str | None, short_page: ShortPage, first_rows: int
) -> bool:
    """Whether page one held exactly the size that was sent, and a short page is the end."""
    return size_param is not None and first_rows == size and short_page != "continue"


def total_marker(total: TotalRows) -> str | None:
    """Returns a description of an exact total, for warnings; None without one."""
    return f"total ({total.place})" if total.place and not total.approximate else None


def short_page_flaws(size: int | None, short_page: ShortPage) -> Iterator[Flaw]:
    """Yields a flaw when a short page is the end and no size says which page is short."""
    if short_page == "end" and size is None:
        message = "without size a short page cannot be recognised"
        yield Flaw("incomplete", "short_page", message, "Write size: 100.")
