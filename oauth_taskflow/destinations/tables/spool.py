"""Records on this machine's disk as Arrow tables, until all of them are there.

The file has no name, so nothing is left of it when the process ends, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from oauth_taskflow.destinations.arrow.converter import TableBuilder
from oauth_taskflow.destinations.arrow.types import to_arrow_schema
from oauth_taskflow.destinations.arrow.widening import widen_table
from oauth_taskflow.record_schema.model import RecordSchema

# A batch of a table that is read again: small enough for the memory of a task.
BATCH_ROWS = 10_000
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class TableSpool:
    """Takes records, and gives them back in batches of one schema, any number of times.

    ``schema`` is that of all records so far. Each change of it begins another stream in the file, so nothing is written twice.
    Without ``nested``, objects and lists are kept as JSON.
    """

    def __init__(self, declared: RecordSchema | None = None, *, nested: bool = True) -> None:
        self._builder = TableBuilder(declared, nested=nested)
        self._file: IO[bytes] | None = None
        self._begins: list[int] = []
        self._stream: pa.RecordBatchStreamWriter | None = None
        self._written: pa.Schema | None = None
        self.rows = 0
        self.bytes = 0

    @property
    def schema(self) -> RecordSchema:
        """The schema of all records so far."""
        return self._builder.schema

    def write(self, records: Sequence[Any]) -> None:
        """Takes records, ``msgspec.Raw`` or Python values.

        Raises:
            InvalidRecord: a record is not an object, or not JSON.
            OSError: the disk is full.
        """
        for table in self._builder.add(records):
            self._keep(table)

    def finish(self) -> None:
        """Completes the file; ``read_batches`` may follow."""
        for table in self._builder.finish():
            self._keep(table)
        self._end_stream()

    def read_batches(self, schema: RecordSchema) -> Iterator[pa.RecordBatch]:
        """Yields all records in the columns of ``schema``, which is a union with ``self.schema``."""
        for begin in self._begins:
            assert self._file is not None
            self._file.seek(begin)
            with pa.ipc.open_stream(self._file) as stream:
                for batch in stream:
                    table = widen_table(pa.Table.from_batches([batch]), schema)
                    yield from table.to_batches(max_chunksize=BATCH_ROWS)

    def close(self) -> None:
        """Drops everything; never raises."""
        self._stream = None
        if self._file is not None:
            self._file.close()
        self._file = None
        self._begins.clear()

    def _keep(self, table: pa.Table) -> None:
        # The schema may have grown since the block was made: it fits the file if its columns do.
        written = to_arrow_schema(self.schema)
        if self._stream is None or not written.equals(self._written, check_metadata=True):
            self._begin_stream(written)
        assert self._stream is not None
        self._stream.write_table(table, max_chunksize=BATCH_ROWS)
        self.rows += table.num_rows
        assert self._file is not None
        self.bytes = self._file.tell()

    def _begin_stream(self, schema: pa.Schema) -> None:
        self._end_stream()
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="oauth-taskflow-")  # noqa: SIM115 - closed by close
        self._begins.append(self._file.tell())
        self._stream = pa.ipc.new_stream(self._file, schema, options=_OPTIONS)
        self._written = schema

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            assert self._file is not None
            self._file.flush()
        self._stream = None
