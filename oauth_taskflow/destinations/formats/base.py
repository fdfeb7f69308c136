"""The protocol of a file format: a writer and a reader, and neither without the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple, Protocol, runtime_checkable

from oauth_taskflow.destinations.requirements import Requirement


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


@runtime_checkable
class PausingWriter(Protocol):
    """The further method of the ``RecordWriter`` of a format with ``read_again``."""

    def pause(self) -> None:
        """Hands everything on, so that the bytes so far can be read alone; further records may follow."""


class FileFormat(NamedTuple):
    """How records become the bytes of a file, and the bytes records again.

    A format without ``read_again`` cannot go on with a file of an attempt that was cut off: the next one starts over.
    """

    open_writer: Callable[[ByteSink], RecordWriter]
    read_records: Callable[[IO[bytes], int, int], Iterator[Any]]
    """From an open file: the decoded records after the first ``skip``, at most ``take`` of them."""
    read_again: Callable[[IO[bytes], int, int], Iterator[Any]] | None = None
    """The same records in a form that ``RecordWriter.write`` writes again byte for byte."""
    requires: tuple[Requirement, ...] = ()
    """The libraries of an extra that writer or reader need."""
