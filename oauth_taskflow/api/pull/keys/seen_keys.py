"""Remembers the keys of records, and on which page each came last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from oauth_taskflow.api.decoders.numbers import encode


class ShiftedRows:
    """Counts rows that came again out of their place: not as rows that others, added in front of them, shift to later pages do.

    Those begin a page, in the order in which they came, and all rows that came behind them follow before the first new one.
    """

    def __init__(self) -> None:
        self._latest = self._page = self._pending = 0
        self._reached: int | None = None
        self._has_new = False
        self.out_of_place = 0
        """How many rows of the current sequence that was, as far as new rows followed."""
        self.awaits_new = True
        """Whether the next new row changes anything: most follow another new one."""

    def begin_page(self, page: int) -> None:
        """Notes that the rows of ``page`` follow; pages are numbered in their order."""
        self._latest = self._page if self._has_new else self._latest
        self._page, self._has_new = page, False
        self.awaits_new = True

    def add_new(self) -> None:
        """Takes a row that did not come before."""
        if self._reached is not None and self._reached < self._latest:
            self.out_of_place += self._pending
        self._reached, self._pending, self._has_new = None, 0, True
        self.awaits_new = False

    def add_again(self, before: int) -> None:
        """Takes a row that came on page ``before``."""
        self.awaits_new = True
        before = min(before, self._latest)  # a page without new rows may itself be shifted
        if self._has_new or (self._reached is not None and before < self._reached):
            self.out_of_place += 1
            return
        self._reached, self._pending = before, self._pending + 1


class SeenKeys:
    """The keys of the records so far, each with the number of the last page that had it.

    Pages are counted over all sequences. Only digests of at most 16 bytes are kept.
    """

    def __init__(self) -> None:
        self._pages: dict[bytes, int] = {}
        self._first = self._page = 0
        self.repeats = 0
        """How often a key had come before in the current sequence."""
        self.is_unique = True
        """Whether no page had a key twice: an API shows each of its rows once in a page."""
        self.changed = 0
        """How many records of the current sequence came again on a later page with other content, as far as that is looked at."""
        self.shifted = ShiftedRows()

    def begin_sequence(self) -> None:
        """Notes that the pages of another sequence follow."""
        self._first = self._page + 1
        self.repeats = self.changed = 0
        self.shifted = ShiftedRows()

    def begin_page(self) -> None:
        """Notes that the keys of another page follow."""
        self._page += 1
        self.shifted.begin_page(self._page)

    def forget(self) -> None:
        """Forgets all keys."""
        self._pages.clear()

    def add(self, digest: bytes) -> bool | None:
        """Returns whether the key came before in this sequence (True), in an earlier one (False) or never (None)."""
        page, before = self._page, self._pages.get(digest)
        self._pages[digest] = page
        if before is None or before < self._first:
            if self.shifted.awaits_new:
                self.shifted.add_new()
            return None if before is None else False
        if before == page:
            self.is_unique = False
        self.shifted.add_again(before)
        self.repeats += 1
        return True

    def save(self) -> list[int]:
        """Returns the counts, without keys."""
        return [
            *(self._first, self._page, self.repeats, int(self.is_unique), self.changed),
            self.shifted.out_of_place,
        ]

    def restore(self, counts: Sequence[int]) -> None:
        """Takes saved counts; ``replay`` brings the keys back."""
        self._first, self._page, self.repeats, is_unique, *more = counts
        self.is_unique = bool(is_unique)
        # Not in the progress that release 0.1 left.
        self.changed, self.shifted.out_of_place = (*more, 0, 0)[:2]

    def replay(self, digest: bytes, *, in_sequence: bool) -> None:
        """Remembers a key of an earlier attempt, which came in the sequence that goes on or before it."""
        self._pages[digest] = self._page if in_sequence else self._first - 1


def digest_key(key: tuple[Any, ...]) -> bytes:
    """Returns at most 16 bytes that are equal for equal keys."""
    text = encode(key)
    return hashlib.blake2b(text, digest_size=16).digest() if len(text) > 16 else text
