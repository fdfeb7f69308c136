"""Parquet files: writer, reader, and rewriting with a wider schema."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from oauth_taskflow.destinations.arrow.reading import read_records, take_rows
from oauth_taskflow.destinations.arrow.repeated_values import list_repeating
from oauth_taskflow.destinations.arrow.table_files import (
    GroupWriter,
    TableFileWriter,
    TableFormat,
)
from oauth_taskflow.destinations.arrow.types import (
    have_one_form,
    to_arrow_schema,
    to_record_schema,
)
from oauth_taskflow.destinations.arrow.widening import widen_table
from oauth_taskflow.destinations.formats.base import ByteSink, NextPart
from oauth_taskflow.record_schema.model import RecordSchema

# In the footer: the schema of the records, with what Arrow types do not say.
_SCHEMA_KEY = b"oauth_taskflow.schema"
_READ_ROWS = 4096
_REWRITE_ROWS = 1 << 15
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RecordSchema).decode


class _ParquetFile:
    def __init__(self, compression: str, sink: pa.NativeFile, schema: RecordSchema) -> None:
        self._open = partial(
            pq.ParquetWriter,
            sink,
            to_arrow_schema(schema),
            compression=compression,
            write_page_index=False,
        )
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = self._open(use_dictionary=list_repeating(table))
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self, schema: RecordSchema) -> None:
        writer = self._writer or self._open()
        writer.add_key_value_metadata({_SCHEMA_KEY: _encode(schema)})
        writer.close()


def _format(compression: str) -> TableFormat:
    return TableFormat(partial(_ParquetFile, compression), have_one_form)


def open_writer(
    sink: ByteSink, next_part: NextPart, declared: RecordSchema | None, *, compression: str
) -> TableFileWriter:
    """Returns a writer of Parquet files; ``compression`` is a codec by pyarrow's name."""
    return TableFileWriter(sink, next_part, declared, _format(compression))


def read_file(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    """Yields records of an open file; row groups before and after them are not read."""
    with pq.ParquetFile(file) as parquet:
        sizes = (parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups))
        ends = list(itertools.accumulate(sizes))
        first = bisect.bisect_right(ends, skip)
        skip -= ends[first - 1] if first else 0
        groups = (
            parquet.iter_batches(_READ_ROWS, row_groups=[group])
            for group in range(first, len(ends))
        )
        for rows in take_rows(itertools.chain.from_iterable(groups), skip, take):
            yield from read_records(rows)


def read_schema(file: IO[bytes]) -> RecordSchema:
    """Returns the schema of the records in an open file."""
    with pq.ParquetFile(file) as parquet:
        return _schema_of(parquet)


def _schema_of(parquet: pq.ParquetFile) -> RecordSchema:
    written = (parquet.metadata.metadata or {}).get(_SCHEMA_KEY)
    return to_record_schema(parquet.schema_arrow) if written is None else _decode(written)


def read_tables(file: IO[bytes]) -> Iterator[tuple[pa.Table, RecordSchema]]:
    """Yields the records of an open file as tables, each with the schema of the file's records."""
    with pq.ParquetFile(file) as parquet:
        known = _schema_of(parquet)
        for batch in parquet.iter_batches(_REWRITE_ROWS):
            yield pa.Table.from_batches([batch]), known


def rewrite(file: IO[bytes], sink: ByteSink, schema: RecordSchema, *, compression: str) -> None:
    """Writes the records of an open file with a wider schema, one row group after another."""
    groups = GroupWriter(sink, _format(compression))
    for table, known in read_tables(file):
        groups.add(widen_table(table, schema, known), schema)
    groups.close(schema)
