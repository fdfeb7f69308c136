"""The protocol of a file format: a writer and a reader, and neither without the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.record_schema.model import RecordSchema

if TYPE_CHECKING:
    import pyarrow as pa


class ByteSink(Protocol):
    """The part of a binary file that a writer needs."""

    def write(self, data: bytes, /) -> int:
        """Writes ``data`` and returns its length."""

    def flush(self) -> None:
        """Hands everything on that was written."""


# The number of records in the file that the writer has completed -> the sink of the file that follows.
NextPart = Callable[[int], ByteSink]


class RecordWriter(Protocol):
    """Writes records to a file, or to several: see ``FileFormat.open_writer``."""

    def write(self, records: Sequence[Any], /) -> object:
        """Writes ``records``, each ``msgspec.Raw`` or a Python value.

        Raises:
            InvalidRecord: a value has no form in this format.
        """

    def close(self) -> None:
        """Completes the file, and leaves the sink open."""


@runtime_checkable
class PausingWriter(RecordWriter, Protocol):
    """The further method of a ``RecordWriter`` whose file can be gone on with."""

    def pause(self) -> None:
        """Hands everything on, so that the bytes so far can be read alone; further records may follow."""


@runtime_checkable
class SplittingWriter(RecordWriter, Protocol):
    """The further method of a ``RecordWriter`` that carries something from one part to the next, such as a schema.

    Without it, a part that has reached its size is closed, and another writer writes the next one.
    """

    def end_part(self) -> None:
        """Completes the file with all records so far, asks ``next_part`` for the next sink, and goes on there."""


@runtime_checkable
class GroupingWriter(RecordWriter, Protocol):
    """The further method of a ``RecordWriter`` that gathers many records in memory before it writes them."""

    def end_group(self) -> None:
        """Writes everything gathered so far; the file goes on."""


class SchemaFiles(NamedTuple):
    """The further functions of a format whose files have a schema: at a commit all files of a run get the same one."""

    read_schema: Callable[[IO[bytes]], RecordSchema]
    """From an open file: the schema of its records."""
    is_same: Callable[[RecordSchema, RecordSchema], bool]
    """Whether files of both schemas are written alike, so that readers take them for one table."""
    rewrite: Callable[[IO[bytes], ByteSink, RecordSchema], None]
    """From an open file, a sink, and a wider schema: writes the same records with that schema."""
    read_tables: Callable[[IO[bytes]], Iterator[tuple[pa.Table, RecordSchema]]]
    """From an open file: its records as Arrow tables of bounded size, each with the schema of the file's records."""


class FileFormat(NamedTuple):
    """How records become the bytes of a file, and the bytes records again.

    ``read_again`` lets the next attempt go on after the records of one that was cut off: in the same file when the writer
    is a ``PausingWriter``, else in another part. Without it, the next attempt starts over.
    """

    open_writer: Callable[[ByteSink, NextPart, RecordSchema | None], RecordWriter]
    """From a sink, what opens further parts, and the schema that the spec declares.

    A writer whose file has one schema calls ``next_part(rows)`` when the schema changes: it has completed the current file
    with ``rows`` records in it, and goes on in the sink that it gets. Other writers never call it: a part of theirs has the
    records that were written to it.
    """
    read_records: Callable[[IO[bytes], int, int], Iterator[Any]]
    """From an open file: the decoded records after the first ``skip``, at most ``take`` of them."""
    read_again: Callable[[IO[bytes], int, int], Iterator[Any]] | None = None
    """The same records in a form that ``RecordWriter.write`` writes again byte for byte."""
    returns_bytes: bool = False
    """Whether ``read_again`` gives the bytes of each record as they were written, and not its values alone."""
    requires: tuple[Requirement, ...] = ()
    """The libraries of an extra that writer or reader need."""
    schema_files: SchemaFiles | None = None
    """For a format whose files have a schema. Without records and without a declared schema, no file of it is written."""
    has_types: bool = True
    """Whether records are read back with the types of their values, and not as texts alone."""
    compressions: Mapping[str, Callable[[], FileFormat]] = {}
    """The same format with another compression, by the names that ``compression`` of a spec takes."""
