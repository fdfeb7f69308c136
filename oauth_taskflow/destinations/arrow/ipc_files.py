"""Arrow files (the file format of Arrow IPC): writer, reader, and rewriting with a wider schema."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.ipc

from oauth_taskflow.destinations.arrow.reading import read_records, take_rows
from oauth_taskflow.destinations.arrow.table_files import (
    GroupWriter,
    TableFileWriter,
    TableFormat,
)
from oauth_taskflow.destinations.arrow.types import is_one_schema, to_arrow_schema, to_record_schema
from oauth_taskflow.destinations.arrow.widening import widen_table
from oauth_taskflow.destinations.formats.base import ByteSink, NextPart
from oauth_taskflow.record_schema.model import RecordSchema

_SCHEMA_KEY = b"oauth_taskflow.schema"
_BATCH_ROWS = 1 << 15
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RecordSchema).decode


class _IpcFile:
    def __init__(self, compression: str | None, sink: pa.NativeFile, schema: RecordSchema) -> None:
        # The schema comes first in the file: what a later table knows better begins another one.
        described = to_arrow_schema(schema).with_metadata({_SCHEMA_KEY: _encode(schema)})
        options = pa.ipc.IpcWriteOptions(compression=compression)
        self._writer = pa.ipc.new_file(sink, described, options=options)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks(), max_chunksize=_BATCH_ROWS)

    def close(self, schema: RecordSchema) -> None:  # noqa: ARG002 - it is written at the beginning
        self._writer.close()


def _format(compression: str | None) -> TableFormat:
    return TableFormat(partial(_IpcFile, compression), is_one_schema)


def open_writer(
    sink: ByteSink, next_part: NextPart, declared: RecordSchema | None, *, compression: str | None
) -> TableFileWriter:
    """Returns a writer of Arrow files; ``compression`` is a codec by pyarrow's name, or None."""
    return TableFileWriter(sink, next_part, declared, _format(compression))


def read_file(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    """Yields records of an open file; batches after them are not read."""
    with pa.ipc.open_file(file) as reader:
        batches = map(reader.get_batch, range(reader.num_record_batches))
        for rows in take_rows(batches, skip, take):
            yield from read_records(rows)


def read_schema(file: IO[bytes]) -> RecordSchema:
    """Returns the schema of the records in an open file."""
    with pa.ipc.open_file(file) as reader:
        return _schema_of(reader.schema)


def _schema_of(schema: pa.Schema) -> RecordSchema:
    written = (schema.metadata or {}).get(_SCHEMA_KEY)
    return to_record_schema(schema) if written is None else _decode(written)


def read_tables(file: IO[bytes]) -> Iterator[tuple[pa.Table, RecordSchema]]:
    """Yields the records of an open file as tables, each with the schema of the file's records."""
    with pa.ipc.open_file(file) as reader:
        known = _schema_of(reader.schema)
        for place in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(place)]), known


def rewrite(
    file: IO[bytes], sink: ByteSink, schema: RecordSchema, *, compression: str | None
) -> None:
    """Writes the records of an open file with a wider schema, one batch after another."""
    groups = GroupWriter(sink, _format(compression))
    for table, known in read_tables(file):
        groups.add(widen_table(table, schema, known), schema)
    groups.close(schema)
