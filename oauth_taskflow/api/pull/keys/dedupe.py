"""Drops records whose primary key came before in the same task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from oauth_taskflow.api.pull.keys.record_digests import (
    ContentReader,
    digest_record,
    read_content,
)
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys, digest_key
from oauth_taskflow.api.pull.loop_guard import REPEATED_PAGES, endless_repeat_error
from oauth_taskflow.api.pull.missing_fields import missing_field_error
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.api.pull.totals import Warn


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
    about 100 bytes of memory per record, twice that with either option. ``content`` gives the bytes that are compared.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        across_parents: bool = False,
        keeps_versions: bool = False,
        content: ContentReader = read_content,
    ) -> None:
        self._paths = tuple(paths)
        self._columns = [build_column_reader(path) for path in paths]
        self.seen = SeenKeys()
        """The keys of the records so far, dropped or not."""
        self._records: set[bytes] | None = set() if across_parents else None
        # Key → the content of the last record with it.
        self._versions: dict[bytes, bytes] | None = {} if keeps_versions else None
        self._content = content
        self.compares_records = across_parents or keeps_versions
        """Whether whole records are compared, and not their keys alone."""
        # Of the records that passed: those that another attempt finds again must give the same.
        self._passed = hashlib.blake2b(digest_size=8)
        self._parent = self._repeated = self._new = 0
        self.dropped = 0
        self._differing = 0

    @property
    def across_parents(self) -> bool:
        """Whether records of other parents are compared."""
        return self._records is not None

    def warn_of_differing(self, warn: Warn) -> None:
        """Warns when records were dropped that have the key of another record of their page, and other content."""
        if self._differing:
            warn(
                f"primary_key left out {self._differing:,} records that have the key of another record of their page, and other "
                "content: it does not name a record. Add a field to it."
            )

    def save(self) -> list[int]:
        """Returns the counts, without keys, and a digest of the records that passed.

        They are those of all parents where these are compared, else those of the current one.
        """
        counts = (self.dropped, self._differing, self._parent, self._repeated, self._new)
        return [*counts, int.from_bytes(self._passed.digest(), "big"), *self.seen.save()]

    def restore(self, counts: Sequence[int]) -> None:
        """Takes saved counts; ``replay`` brings the keys back, and the digest with them."""
        self.dropped, self._differing, self._parent, self._repeated, self._new = counts[:5]
        self._passed = hashlib.blake2b(digest_size=8)
        self.seen.restore(counts[6:])

    def replay(self, records: Sequence[Any], place: Replay) -> None:
        """Remembers the keys of records that were kept in an earlier attempt, in their order."""
        keys = zip(*(read(records) for read in self._columns), strict=True)
        for record, key in zip(records, keys, strict=True):
            digest = digest_key(key)
            whole = self._digest(digest, record) if self.compares_records else digest
            self._passed.update(whole)
            if place is not Replay.OTHER_PARENT:
                self.seen.replay(digest, in_sequence=place is Replay.THIS_SEQUENCE)
                if self._versions is not None:
                    self._versions[digest] = whole
            if self._records is not None:
                self._records.add(whole)

    def begin_sequence(self, parent: int) -> None:
        """Begins the page sequence of the parent record with this number."""
        if parent != self._parent:
            self.seen.forget()
            if self._versions is not None:
                self._versions.clear()
            if self._records is None:
                self._passed = hashlib.blake2b(digest_size=8)
        self._parent = parent
        self.seen.begin_sequence()
        self._repeated = 0

    def drop_seen(self, records: Sequence[Any], *, index: int = 0, where: str = "") -> list[Any]:
        """Returns the records of page ``index`` whose keys did not come before.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold only records of earlier pages of their sequence.
        """
        keys = list(zip(*(read(records) for read in self._columns), strict=True))
        before = self._new
        self.seen.begin_page()
        passed = [self._add(record, key) for record, key in zip(records, keys, strict=True)]
        self._passed.update(b"".join(filter(None, passed)))
        kept = [record for record, whole in zip(records, passed, strict=True) if whole]
        self.dropped += len(records) - len(kept)
        if len(kept) < len(records) and not self.seen.is_unique and self._versions is None:
            self._differing += _count_differing(records, keys)
        if records:
            self._repeated = 0 if self._new > before else self._repeated + 1
        if self._repeated >= REPEATED_PAGES:
            raise endless_repeat_error(index, where)
        return kept

    def _add(self, record: Any, key: tuple[Any, ...]) -> bytes | None:
        """Returns the digest of a record that passes, None for one that is left out."""
        if None in key:
            raise missing_field_error(
                record,
                self._paths[key.index(None)],
                "primary_key",
                "Correct primary_key, or leave it out when the API promises no key.",
            )
        digest = digest_key(key)
        is_repeat = self.seen.add(digest)
        if is_repeat is not None and self._versions is None:
            self._new += not is_repeat
            return None
        whole = self._digest(digest, record) if self.compares_records else digest
        if self._versions is not None:
            before, self._versions[digest] = self._versions.get(digest), whole
            is_version = before != whole
            self.seen.changed += bool(is_repeat and is_version)
            if not is_version:
                self._new += not is_repeat
                return None
        self._new += 1
        if self._records is None:
            return whole
        is_other = whole not in self._records
        self._records.add(whole)
        return whole if is_other or is_repeat is not None else None

    def _digest(self, digest: bytes, record: Any) -> bytes:
        return digest_record(digest, self._content(record))


def _count_differing(records: Sequence[Any], keys: Sequence[tuple[Any, ...]]) -> int:
    """Counts the records of a page that have the key of one before them on it, and other content."""
    firsts: dict[bytes, Any] = {}
    digests = map(digest_key, keys)
    return sum(
        firsts.setdefault(digest, record) != record
        for digest, record in zip(digests, records, strict=True)
    )
