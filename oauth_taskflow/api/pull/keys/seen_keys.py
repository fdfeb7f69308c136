"""Remembers the keys of records, and on which page each came last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from oauth_taskflow.api.decoders.numbers import encode


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

    def begin_sequence(self) -> None:
        """Notes that the pages of another sequence follow."""
        self._first = self._page + 1
        self.repeats = self.changed = 0

    def begin_page(self) -> None:
        """Notes that the keys of another page follow."""
        self._page += 1

    def forget(self) -> None:
        """Forgets all keys."""
        self._pages.clear()

    def add(self, digest: bytes) -> bool | None:
        """Returns whether the key came before in this sequence (True), in an earlier one (False) or never (None)."""
        page, before = self._page, self._pages.get(digest)
        self._pages[digest] = page
        if before is None:
            return None
        if before == page:
            self.is_unique = False
        is_repeat = before >= self._first
        self.repeats += is_repeat
        return is_repeat

    def save(self) -> list[int]:
        """Returns the counts, without keys."""
        return [self._first, self._page, self.repeats, int(self.is_unique), self.changed]

    def restore(self, counts: Sequence[int]) -> None:
        """Takes saved counts; ``replay`` brings the keys back."""
        self._first, self._page, self.repeats, is_unique, *more = counts
        self.is_unique = bool(is_unique)
        self.changed = more[0] if more else 0  # not in the progress that release 0.1 left

    def replay(self, digest: bytes, *, in_sequence: bool) -> None:
        """Remembers a key of an earlier attempt, which came in the sequence that goes on or before it."""
        self._pages[digest] = self._page if in_sequence else self._first - 1


def digest_key(key: tuple[Any, ...]) -> bytes:
    """Returns at most 16 bytes that are equal for equal keys."""
    text = encode(key)
    return hashlib.blake2b(text, digest_size=16).digest() if len(text) > 16 else text
