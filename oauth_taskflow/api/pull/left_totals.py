"""Recognises totals that count what is left, instead of all records of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:  # a page has marks, and these have LeftTotals
    from oauth_taskflow.api.pull.page import PageView


class LeftTotals(Struct, frozen=True):
    """The number of all records of a sequence, if each page announces what is left.

    SAP's servers count ``from_page`` on where they read by keys; CouchDB's ``pending`` counts what is ``behind_page``. Each is
    None once a page contradicts it. ``is_sure``: the pages have shown that one of the two is true.
    """

    from_page: int | None = None
    behind_page: int | None = None
    is_sure: bool = False

    def add(self, total: int, page: PageView) -> LeftTotals:
        """Returns what is known after ``page``, which announces ``total``.

        Three pages show it, or two of which the second says that nothing is left. One fall alone does not: as many rows may have
        been deleted meanwhile as a page holds.
        """
        now = LeftTotals(total + page.rows_so_far - page.rows, total + page.rows_so_far)
        if page.index == 0:
            return now if page.rows else LeftTotals()
        kept = LeftTotals(
            now.from_page if now.from_page == self.from_page and total >= page.rows else None,
            now.behind_page if now.behind_page == self.behind_page else None,
            is_sure=self.is_sure or page.index > 1,
        )
        if self.is_sure:
            return kept if kept.may_be else self._move(now)
        if not (page.rows and kept.may_be):
            return LeftTotals()
        if kept.from_page is not None and total == page.rows:
            return LeftTotals(from_page=kept.from_page, is_sure=True)
        if kept.behind_page is not None and total == 0:
            return LeftTotals(behind_page=kept.behind_page, is_sure=True)
        return kept

    def _move(self, now: LeftTotals) -> LeftTotals:
        """Returns the numbers of ``now`` where rows were added or deleted meanwhile."""
        return LeftTotals(
            None if self.from_page is None else now.from_page,
            None if self.behind_page is None else now.behind_page,
            is_sure=True,
        )

    @property
    def may_be(self) -> bool:
        """Whether all pages so far are as they would be."""
        return self.from_page is not None or self.behind_page is not None

    @property
    def whole(self) -> int | None:
        """The number of all records, the lower one where both are possible; None where it is not sure."""
        if not self.is_sure:
            return None
        return self.behind_page if self.from_page is None else self.from_page
