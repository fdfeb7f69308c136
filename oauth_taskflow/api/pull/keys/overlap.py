"""Remembers the sort key of a page sequence: the last record, and the records that come again with its key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.api.paginators.base import SortKey
from oauth_taskflow.api.pull.keys.sort_order import SortOrder
from oauth_taskflow.api.pull.marks import KeyMark, split_digests_in_order
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.errors import ApiError


class Overlap:
    """Remembers the records that have the last sort key, and drops them when they come again.

    Records are compared by content, each as often as it came, so that two equal records stay two. A record that was
    changed in between stays too; ``primary_key`` drops it.
    """

    def __init__(self, path: str) -> None:
        self._values = build_column_reader(path)
        self._key: bytes | None = None
        self._last: Counter[bytes] = Counter()
        self._pending: Counter[bytes] = Counter()

    def expect_again(self) -> None:
        """Notes that the next request begins at the last sort key, with its records."""
        self._pending = Counter(self._last)

    def drop_repeats(self, records: Sequence[Any]) -> list[Any]:
        """Returns the records of the next page without those that came before under the same sort key."""
        keys = [encode(value) for value in self._values(records)]
        kept = [
            (record, key)
            for record, key in zip(records, keys, strict=True)
            if key != self._key or not self._is_repeat(record)
        ]
        if keys and keys[-1] != self._key:
            self._key = keys[-1]
            self._last.clear()
        self._last.update(_digest(record) for record, key in kept if key == self._key)
        return [record for record, _ in kept]

    def _is_repeat(self, record: Any) -> bool:
        digest = _digest(record)
        if self._pending[digest] <= 0:
            return False
        self._pending[digest] -= 1
        return True

    def mark(self) -> bytes:
        """Returns the digests of the records with the last sort key, one after the other."""
        return b"".join(sorted(self._last.elements()))

    def restore(self, key: bytes, digests: bytes) -> None:
        """Goes on after the pages that a mark describes."""
        self._key = key
        self._last = Counter(split_digests_in_order(digests))
        self.expect_again()


class KeyTrail:
    """The last sort key of a sequence, whose records must be in its order; nothing for styles without one.

    Records that come again with the last key are dropped, where they do.
    """

    def __init__(self, key: SortKey | None) -> None:
        self._order = None if key is None else SortOrder(key)
        self._overlap = Overlap(key.path) if key is not None and key.comes_again else None
        self.last_key: Any = None

    def advance(self, page: PageView) -> None:
        """Reads the keys of ``page``.

        Raises:
            InvalidRecord: a key is absent, out of order, or twice where it must be unique.
        """
        if self._order is None:
            return
        before = [] if self.last_key is None else [self.last_key]
        try:
            keys = self._order.read_keys(page.records or page.received)
            self._order.check([*before, *keys])
        except ApiError as error:
            error.where = error.where or page.where
            raise
        if keys:
            self.last_key = keys[-1]

    def drop_repeats(self, records: list[Any]) -> list[Any]:
        """Returns the records of a page that did not come before."""
        if self._overlap is None:
            return records
        kept = self._overlap.drop_repeats(records)
        self._overlap.expect_again()
        return kept

    def mark(self) -> KeyMark | None:
        """Returns the state after a page; None before the first key, and for other styles."""
        if self.last_key is None:
            return None
        digests = b"" if self._overlap is None else self._overlap.mark()
        return KeyMark(encode(self.last_key), digests)

    def restore(self, mark: KeyMark | None) -> None:
        """Goes on after the pages that ``mark`` describes."""
        if mark is None:
            return
        self.last_key = decode(mark.key)
        if self._overlap is not None:
            self._overlap.restore(mark.key, mark.digests)


def _content(record: Any) -> bytes:
    return bytes(record) if isinstance(record, msgspec.Raw) else encode(record)


def _digest(record: Any) -> bytes:
    return hashlib.blake2b(_content(record), digest_size=16).digest()
