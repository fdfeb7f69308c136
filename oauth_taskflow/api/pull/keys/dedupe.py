"""Drops records whose primary key came before in the same task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.pull.loop_guard import REPEATED_PAGES, endless_repeat_error
from oauth_taskflow.api.pull.missing_fields import missing_field_error
from oauth_taskflow.api.pull.record_fields import build_column_reader


class Replay(Enum):
    """Where a record that was kept belongs, seen from the sequence that goes on."""

    OTHER_PARENT = auto()
    OTHER_SEQUENCE = auto()
    THIS_SEQUENCE = auto()


class Deduplicator:
    """Drops records whose primary key came before in the same task; the first record with a key stays.

    A key identifies a record within its parent. With ``across_parents``, a record whose key came under another parent
    is dropped only when the whole record is equal. With ``keeps_versions`` a record that differs from the last one with its
    key is a newer version and stays too: readers that go on behind it never see it again. Only 16-byte digests are kept,
    about 100 bytes of memory per record, twice that with either option.
    """

    def __init__(
        self, paths: Sequence[str], *, across_parents: bool = False, keeps_versions: bool = False
    ) -> None:
        self._paths = tuple(paths)
        self._columns = [build_column_reader(path) for path in paths]
        # Key → the number of the last page sequence that had it.
        self._seen: dict[bytes, int] = {}
        self._records: set[bytes] | None = set() if across_parents else None
        # Key → the content of the last record with it.
        self._versions: dict[bytes, bytes] | None = {} if keeps_versions else None
        self._parent = self._sequence = self._repeated = self._new = 0
        self.dropped = 0
        self.repeats = 0
        """How often a record's key had come before in the current sequence, dropped or not."""

    @property
    def across_parents(self) -> bool:
        """Whether records of other parents are compared."""
        return self._records is not None

    def save(self) -> list[int]:
        """Returns the counts, without keys."""
        place = (self._parent, self._sequence)
        return [self.dropped, *place, self._repeated, self._new, self.repeats]

    def restore(self, counts: Sequence[int]) -> None:
        """Takes saved counts; ``replay`` brings the keys back."""
        self.dropped, self._parent, self._sequence, self._repeated, self._new = counts[:5]
        self.repeats = sum(counts[5:])  # absent in what an older release saved

    def replay(self, records: Sequence[Any], place: Replay) -> None:
        """Remembers the keys of records that were kept in an earlier attempt, in their order."""
        sequence = self._sequence - (place is not Replay.THIS_SEQUENCE)
        keys = zip(*(read(records) for read in self._columns), strict=True)
        for record, key in zip(records, keys, strict=True):
            digest = _digest_key(key)
            if place is not Replay.OTHER_PARENT:
                self._seen[digest] = sequence
                if self._versions is not None:
                    self._is_new_version(digest, record)
            if self._records is not None:
                self._is_other(digest, record)

    def begin_sequence(self, parent: int) -> None:
        """Begins the page sequence of the parent record with this number."""
        if parent != self._parent:
            self._seen.clear()
            if self._versions is not None:
                self._versions.clear()
        self._parent = parent
        self._sequence += 1
        self._repeated = self.repeats = 0

    def drop_seen(self, records: Sequence[Any], *, index: int = 0, where: str = "") -> list[Any]:
        """Returns the records of page ``index`` whose keys did not come before.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold only records of earlier pages of their sequence.
        """
        keys = zip(*(read(records) for read in self._columns), strict=True)
        before = self._new
        kept = [record for record, key in zip(records, keys, strict=True) if self._add(record, key)]
        self.dropped += len(records) - len(kept)
        if records:
            self._repeated = 0 if self._new > before else self._repeated + 1
        if self._repeated >= REPEATED_PAGES:
            raise endless_repeat_error(index, where)
        return kept

    def _add(self, record: Any, key: tuple[Any, ...]) -> bool:
        if None in key:
            raise missing_field_error(
                record,
                self._paths[key.index(None)],
                "primary_key",
                "Correct primary_key, or leave it out when the API promises no key.",
            )
        digest = _digest_key(key)
        seen_in = self._seen.get(digest)
        is_version = self._versions is not None and self._is_new_version(digest, record)
        self.repeats += seen_in == self._sequence
        if seen_in == self._sequence and not is_version:
            return False
        self._new += 1
        self._seen[digest] = self._sequence
        is_other = self._records is None or self._is_other(digest, record)
        return is_other if seen_in is None else is_version

    def _is_new_version(self, digest: bytes, record: Any) -> bool:
        """Whether the last record with this key had another content, or there was none."""
        assert self._versions is not None
        content = _digest_record(digest, record)
        is_new = self._versions.get(digest) != content
        self._versions[digest] = content
        return is_new

    def _is_other(self, digest: bytes, record: Any) -> bool:
        """Whether no record with this key and content came under another parent."""
        whole = _digest_record(digest, record)
        assert self._records is not None
        is_other = whole not in self._records
        self._records.add(whole)
        return is_other


def _digest_record(key: bytes, record: Any) -> bytes:
    content = bytes(record) if isinstance(record, msgspec.Raw) else encode(record)
    return hashlib.blake2b(key + b"\0" + content, digest_size=16).digest()


def _digest_key(key: tuple[Any, ...]) -> bytes:
    text = encode(key)
    return hashlib.blake2b(text, digest_size=16).digest() if len(text) > 16 else text
