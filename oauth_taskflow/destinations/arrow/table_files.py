"""Writes records to files that hold tables: each file has one schema, and a wider one begins another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from oauth_taskflow.destinations.arrow.converter import TableBuilder
from oauth_taskflow.destinations.arrow.types import to_arrow_schema
from oauth_taskflow.destinations.arrow.widening import widen_table
from oauth_taskflow.destinations.formats.base import ByteSink, NextPart
from oauth_taskflow.record_schema.model import NULL, RecordSchema

# One row group: large enough for readers to scan it well, small enough to be held in memory.
GROUP_ROWS = 1 << 17
GROUP_BYTES = 32 << 20  # of Arrow
_PLACEHOLDER = "_no_fields"


class TableFile(Protocol):
    """An open file of tables that all have its schema."""

    def write(self, table: pa.Table) -> None:
        """Writes one group of rows."""

    def close(self, schema: RecordSchema) -> None:
        """Completes the file; ``schema`` is that of its records, whose fields are written as those of the file's schema."""


class TableFormat(NamedTuple):
    """How files of tables are opened, and which schemas one file can have in turn."""

    open: Callable[[pa.NativeFile, RecordSchema], TableFile]
    is_same: Callable[[RecordSchema, RecordSchema], bool]


class _Output:
    """A sink as pyarrow wants it; closing it leaves the sink open."""

    closed = False

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self.closed = True


class GroupWriter:
    """Writes tables to one file, in groups of rows of a good size; until the first group is full, the schema may grow."""

    def __init__(self, sink: ByteSink, table_format: TableFormat) -> None:
        self._sink = sink
        self._format = table_format
        self._file: TableFile | None = None
        self._schema = RecordSchema()
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._pending = 0
        self.rows = 0

    def takes(self, schema: RecordSchema) -> bool:
        """Returns whether the file can go on with tables of ``schema``."""
        return self._file is None or self._format.is_same(self._schema, schema)

    def add(self, table: pa.Table, schema: RecordSchema) -> None:
        """Takes a table of ``schema``, and writes a group when it is full."""
        if not self._format.is_same(self._schema, schema):
            self._tables = [widen_table(one, schema, self._schema) for one in self._tables]
        self._schema = schema
        self._tables.append(table)
        self._bytes += table.nbytes
        self._pending += table.num_rows
        self.rows += table.num_rows
        if self._pending >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write_group()

    def end_group(self) -> None:
        """Writes the rows that fill no group yet, as one."""
        if self._tables:
            self._write_group()

    def _write_group(self) -> None:
        file = self._open()
        if self._tables:
            file.write(pa.concat_tables(self._tables))
        self._tables, self._bytes, self._pending = [], 0, 0

    def _open(self) -> TableFile:
        if self._file is None:
            if not self._schema.fields and self.rows:
                # A table without columns has no rows in a file.
                schema = RecordSchema({_PLACEHOLDER: NULL})
                self._tables = [_add_placeholder(table, schema) for table in self._tables]
                self._schema = schema
            sink = pa.PythonFile(_Output(self._sink), mode="w")
            self._file = self._format.open(sink, self._schema)
        return self._file

    def close(self, schema: RecordSchema) -> None:
        """Completes the file; without any table, it has the columns of ``schema``."""
        if not self.rows:
            self._schema = schema
        self._write_group()
        self._open().close(self._schema)
        self._sink.flush()


def _add_placeholder(table: pa.Table, schema: RecordSchema) -> pa.Table:
    (field,) = to_arrow_schema(schema)
    return pa.table([pa.nulls(table.num_rows, field.type)], schema=pa.schema([field]))


class TableFileWriter:
    """Writes records (``RecordWriter``); the schema goes on from part to part."""

    def __init__(
        self,
        sink: ByteSink,
        next_part: NextPart,
        declared: RecordSchema | None,
        table_format: TableFormat,
    ) -> None:
        self._next_part = next_part
        self._format = table_format
        self._builder = TableBuilder(declared)
        self._groups = GroupWriter(sink, table_format)
        self._is_broken = False

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Lets no file be completed after an error: records that were taken would be missing from it."""
        if self._is_broken:
            raise ValueError("an earlier write failed")
        self._is_broken = True
        yield
        self._is_broken = False

    def write(self, records: Sequence[Any], /) -> None:
        """Takes records; most are written later, with a whole group.

        Raises:
            InvalidRecord: one of the records so far is not an object, or not JSON.
        """
        with self._whole():
            for table in self._builder.add(records):
                self._take(table)

    def _take(self, table: pa.Table) -> None:
        if not self._groups.takes(self._builder.schema):
            self._begin_part()
        self._groups.add(table, self._builder.schema)

    def _begin_part(self) -> None:
        self._groups.close(self._builder.schema)
        self._groups = GroupWriter(self._next_part(self._groups.rows), self._format)

    def end_group(self) -> None:
        """Writes all records so far, as a group that may be small, to have their memory back."""
        with self._whole():
            for table in self._builder.finish():
                self._take(table)
            self._groups.end_group()

    def end_part(self) -> None:
        """Completes the file with all records so far, and goes on in the next one."""
        with self._whole():
            for table in self._builder.finish():
                self._take(table)
            self._begin_part()

    def close(self) -> None:
        """Completes the file."""
        with self._whole():
            for table in self._builder.finish():
                self._take(table)
            self._groups.close(self._builder.schema)
