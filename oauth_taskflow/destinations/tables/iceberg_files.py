"""Data files of an Iceberg table: written batch by batch, so that memory does not grow with a run or a table.

PyIceberg's own writes take whole tables, and its deletes and upserts read whole files; here a file is at most as large as ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Transaction
from pyiceberg.table import Table as PyIcebergTable

from oauth_taskflow.destinations.tables.iceberg_scan import ArrowScan
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url

# Bytes of Arrow in one data file, which is what a reader has in memory; with zstd a quarter to a tenth of that.
_FILE_BYTES = 64 << 20
# (batch of some columns) -> which rows go away
Chooser = Callable[[pa.RecordBatch], pa.BooleanArray]


class DataFiles:
    """Files written for one transaction of ``table``; ``remove`` drops them when it fails."""

    def __init__(self, table: PyIcebergTable) -> None:
        self._table = table
        self.names: list[str] = []
        self.bytes = 0

    def write(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Writes batches next to the files of the table, as many files as needed; none for no rows."""
        rows = (batch for batch in batches if batch.num_rows)
        for first in rows:
            self._write_file(first, rows, schema)

    def _write_file(
        self, first: pa.RecordBatch, more: Iterator[pa.RecordBatch], schema: pa.Schema
    ) -> None:
        name = f"{self._table.location()}/data/oauth-taskflow-{uuid.uuid4().hex}.parquet"
        self.names.append(name)
        with (
            self._table.io.new_output(name).create() as sink,
            pq.ParquetWriter(sink, schema, compression="zstd") as writer,
        ):
            writer.write_batch(first)
            written = first.nbytes
            while written < _FILE_BYTES and (batch := next(more, None)) is not None:
                writer.write_batch(batch)
                written += batch.nbytes
        self.bytes += len(self._table.io.new_input(name))

    def remove(self) -> None:
        """Removes the files; never raises."""
        for name in self.names:
            with suppress(Exception):
                self._table.io.delete(name)


class RunFiles:
    """The files of a run's own rows: another try of the commit takes them over, so that a long write is not overtaken each time."""

    def __init__(self) -> None:
        self._files: DataFiles | None = None
        self._schema: pa.Schema | None = None

    @property
    def names(self) -> list[str]:
        """The files."""
        return [] if self._files is None else self._files.names

    @property
    def bytes(self) -> int:
        """The size of all of them."""
        return 0 if self._files is None else self._files.bytes

    def write(
        self, table: PyIcebergTable, batches: Iterable[pa.RecordBatch], schema: pa.Schema
    ) -> None:
        """Writes the rows, unless they are there and their columns are still those of the table."""
        if self._schema is not None and all(_has_field(schema, field) for field in self._schema):
            return
        self.remove()
        self._files, self._schema = DataFiles(table), schema
        self._files.write(batches, schema)

    def remove(self) -> None:
        """Removes the files; never raises."""
        if self._files is not None:
            self._files.remove()
        self._files = self._schema = None


def _has_field(schema: pa.Schema, field: pa.Field) -> bool:
    if field.name not in schema.names:
        return False
    return bool(schema.field(field.name).equals(field, check_metadata=True))


def rewrite_without(
    table: PyIcebergTable,
    may_match: BooleanExpression,
    columns: Sequence[str],
    choose: Chooser,
    files: DataFiles,
) -> list[DataFile]:
    """Writes the remaining rows of each file that loses some to ``files``, and returns the files that they replace.

    ``may_match`` says which files are looked at; ``choose`` gets their ``columns`` and says which rows go away.
    """
    schema = table.schema()
    some = ArrowScan(table.metadata, table.io, schema.select(*columns), AlwaysTrue())
    whole = ArrowScan(table.metadata, table.io, schema, AlwaysTrue())
    arrow_schema = schema_to_pyarrow(schema)  # with the ids of its fields
    replaced = []
    for task in table.scan(row_filter=may_match).plan_files():
        masks = [choose(batch) for batch in some.to_record_batches([task])]
        gone = sum(pc.sum(mask).as_py() or 0 for mask in masks)
        if not gone:
            continue
        if gone < sum(len(mask) for mask in masks):
            files.write(_remaining(whole, task, choose, columns, arrow_schema), arrow_schema)
        replaced.append(task.file)
    return replaced


def _remaining(
    scan: ArrowScan,
    task: FileScanTask,
    choose: Chooser,
    columns: Sequence[str],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    for batch in scan.to_record_batches([task]):
        gone = choose(batch.select(list(columns)))
        left = batch.filter(pc.invert(pc.fill_null(gone, fill_value=False)))
        yield pa.RecordBatch.from_arrays(
            [c.cast(field.type) for c, field in zip(left.columns, schema, strict=True)],
            schema=schema,
        )


def stage_files(
    transaction: Transaction, names: list[str], replaced: list[DataFile], described: dict[str, str]
) -> None:
    """Puts the new files in place of the replaced ones; both snapshots are described."""
    if replaced:
        with transaction.update_snapshot(snapshot_properties=described).overwrite() as overwrite:
            for file in replaced:
                overwrite.delete_data_file(file)
    if names:
        _add_files(transaction, names, described)


def _add_files(transaction: Transaction, names: list[str], described: dict[str, str]) -> None:
    try:
        transaction.add_files(names, described, check_duplicate_files=False)
    except ValueError as error:
        metadata = transaction.table_metadata
        if metadata.spec().is_unpartitioned():
            raise
        raise DestinationError(
            f"The table is partitioned, and a file of this run belongs into several partitions ({str(error)[:200]})",
            where=f"at {redact_url(metadata.location)}",
            hint="Partition it by _run_id or not at all, or write to another table.",
        ) from error
