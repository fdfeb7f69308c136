"""The protocol of a file format: a writer and a reader, and neither without the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple, Protocol


class ByteSink(Protocol):
    """The part of a binary file that a writer needs."""

    def write(self, data: bytes, /) -> int:
        """Writes ``data`` and returns its length."""

    def flush(self) -> None:
        """Hands everything on that was written."""


class RecordWriter(Protocol):
    """Writes records to one file."""

    def write(self, records: Sequence[Any], /) -> object:
        """Writes ``records``, each ``msgspec.Raw`` or a Python value.

        Raises:
            InvalidRecord: a value has no form in this format.
        """

    def close(self) -> None:
        """Completes the file, and leaves the sink open."""


class FileFormat(NamedTuple):
    """How records become the bytes of a file, and the bytes records again."""

    open_writer: Callable[[ByteSink], RecordWriter]
    read_records: Callable[[IO[bytes], int, int], Iterator[Any]]
    """From an open file: the decoded records after the first ``skip``, at most ``take`` of them."""
