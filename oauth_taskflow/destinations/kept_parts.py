"""The parts that an attempt kept in an output folder before it was cut off, and the state to go on from.

``_progress.msgpack`` describes them. The file counts only with the manifest that the attempt found when it began: a commit
ends that, and removes it.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec
from msgspec import Struct

from oauth_taskflow.destinations.formats import FORMATS

PROGRESS_VERSION = 2
_COPY_BYTES = 1 << 20


class KeptPart(Struct, frozen=True, omit_defaults=True):
    """A part that is kept: the first ``bytes`` bytes of a file hold ``rows`` records and have the digest ``sha256``.

    ``is_open`` says that more of its records may follow. ``partition`` has the values that its folders are named after.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    is_open: bool = False
    partition: Mapping[str, str | None] = {}


class FolderProgress(Struct, frozen=True):
    """The content of the progress file; ``base`` is the digest of the manifest that the attempt found, or empty."""

    version: int
    base: str
    format: str
    parts: list[KeptPart]
    state: bytes
    rejected: list[KeptPart] = []

    @property
    def rows(self) -> int:
        """The number of records that are kept."""
        return sum(part.rows for part in self.parts)

    @property
    def rejected_rows(self) -> int:
        """The number of rejected records that are kept."""
        return sum(part.rows for part in self.rejected)

    def encode(self) -> bytes:
        """Returns the bytes of the file."""
        return msgspec.msgpack.encode(self)


def read_progress(
    content: bytes | None, manifest: bytes | None, name: str
) -> FolderProgress | None:
    """Returns the progress in a file, if it belongs to ``manifest`` and to the format ``name``; None for any other."""
    try:
        found = msgspec.msgpack.decode(content or b"", type=FolderProgress)
    except msgspec.MsgspecError:
        return None
    same = (PROGRESS_VERSION, digest_of(manifest), name)
    return found if (found.version, found.base, found.format) == same else None


def digest_of(manifest: bytes | None) -> str:
    """Returns the digest of a manifest; empty without one."""
    return "" if manifest is None else hashlib.sha256(manifest).hexdigest()


class Prefix(io.RawIOBase):
    """The first ``size`` bytes of an open file, as a file: what comes after them was not kept."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads into ``buffer``, up to the end of the prefix."""
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def read_parts(
    parts: Sequence[KeptPart],
    format_name: str,
    open_file: Callable[[str], IO[bytes]],
    skip: int,
    take: int,
) -> Iterator[Any]:
    """Yields ``take`` records of ``parts`` after the first ``skip``, in a form that a writer writes again unchanged."""
    read = FORMATS[format_name].read_again
    assert read is not None  # only formats that can go on are kept
    for part in parts:
        count = max(0, min(take, part.rows - skip))
        if count:
            with open_file(part.name) as file:
                yield from read(_kept_bytes(file, part), skip, count)
        take -= count
        skip = max(0, skip - part.rows)


def _kept_bytes(file: IO[bytes], part: KeptPart) -> IO[bytes]:
    """Returns ``file``, or the kept bytes of it where more may have been written."""
    return io.BufferedReader(Prefix(file, part.bytes), 1 << 16) if part.is_open else file


def has_digest(file: IO[bytes], part: KeptPart) -> bool:
    """Returns whether an open file begins with the bytes of ``part``."""
    digest = hashlib.sha256()
    for data in read_chunks(file, part.bytes):
        digest.update(data)
    return digest.hexdigest() == part.sha256


def read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yields the first ``size`` bytes of an open file in pieces."""
    while size and (data := file.read(min(size, _COPY_BYTES))):
        size -= len(data)
        yield data


def count_whole(parts: Sequence[KeptPart], rows: int) -> int:
    """Returns how many of ``parts``, from the first, lie wholly within the first ``rows`` records."""
    ends = itertools.accumulate(part.rows for part in parts)
    return sum(1 for end in ends if end <= rows)
