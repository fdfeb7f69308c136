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
from oauth_taskflow.api.pull.totals import Warn
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

    Records that come again with the last key are dropped, where they do. Texts have no order that every database shares, but a key
    of the page before that comes again shows that the API lists its records in another order than the one in which it compares keys.
    The first page after a pull was cut off is not compared.
    """

    def __init__(self, key: SortKey | None, warn: Warn) -> None:
        self._order = None if key is None else SortOrder(key)
        self._overlap = Overlap(key.path) if key is not None and key.comes_again else None
        self._warn = warn
        self._has_warned = False
        # The keys of the page before: texts and numbers.
        self._before: frozenset[Any] = frozenset()
        self.last_key: Any = None

    def advance(self, page: PageView) -> None:
        """Reads the keys of ``page``.

        Raises:
            InvalidRecord: a key is absent, out of order, twice where it must be unique, or one of the page before.
        """
        if self._order is None:
            return
        before = [] if self.last_key is None else [self.last_key]
        try:
            keys = self._order.read_keys(page.records or page.received)
            self._order.check([*before, *keys])
            self._check_again(keys, page)
        except ApiError as error:
            error.where = error.where or page.where
            raise
        self._before = frozenset(keys)
        if keys:
            self.last_key = keys[-1]

    def _check_again(self, keys: Sequence[Any], page: PageView) -> None:
        """Compares ``keys`` with those of the page before, except the last one: from there on this page was asked for.

        Where that one's records come again, keys that the database takes for equal to it, such as ``a`` and ``A``, do so by right.
        """
        assert self._order is not None
        again = next((key for key in keys if key in self._before and key != self.last_key), None)
        if again is None:
            return
        error = self._order.again_error(again, self.last_key, page.index)
        if self._overlap is None:
            raise error
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"{error.what} {page.where}. If other records are missing: {error.hint}")

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
