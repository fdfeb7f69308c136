"""An Iceberg table: every run is one commit to its catalog, with the manifest in the snapshot's summary.

https://py.iceberg.apache.org/ and the format: https://iceberg.apache.org/spec/
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import And, BooleanExpression, EqualTo
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table import Transaction

from oauth_taskflow.destinations.output_folders import superseded_error
from oauth_taskflow.destinations.tables.base import Commit, Committed, Mode
from oauth_taskflow.destinations.tables.column_names import check_names
from oauth_taskflow.destinations.tables.fitting import fit_schema
from oauth_taskflow.destinations.tables.iceberg_merge import keep_newer
from oauth_taskflow.destinations.tables.lake_schema import (
    find_text_kinds,
    from_lake_schema,
    read_lake_records,
    to_lake_schema,
)
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.technical_columns import TechnicalColumns
from oauth_taskflow.errors import ApiError
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.redaction import redact_url

# Names in the summary of a snapshot and among the properties of a table.
_ENTRY = "oauth-taskflow.rows"
_KINDS = "oauth-taskflow.kinds"
# A commit that another one overtook is never repeated by the library: whose rows the other wrote must be looked at.
_PROPERTIES = {"commit.retry.num-retries": "0", "write.parquet.compression-codec": "zstd"}
# Bytes of Arrow in one data file; with zstd a quarter to a tenth of that.
_FILE_BYTES = 512 << 20
_TRIES = 8
_FIRST_WAIT = 0.1


class IcebergSettings(msgspec.Struct, frozen=True):
    """What the spec says about the table. ``keys`` are the columns of the primary key, ``order`` that of the order of rows."""

    mode: Mode = "replace_run"
    prefix: str = "_"
    keys: tuple[str, ...] = ()
    order: str | None = None


class IcebergTable:
    """The table ``name`` (``namespace.table``) of a catalog."""

    def __init__(self, catalog: Catalog, name: str, settings: IcebergSettings) -> None:
        self._catalog = catalog
        self._name = name
        self._settings = settings
        self._columns = TechnicalColumns(settings.prefix)

    @property
    def uri(self) -> str:
        """The place of the catalog, and the table in it."""
        place = self._catalog.properties.get("warehouse") or self._catalog.properties.get("uri", "")
        return f"{redact_url(place).rstrip('/')}/{self._name.replace('.', '/')}"

    def check(self) -> None:
        """Asks the catalog for the table."""
        self._load()

    def find_manifest(self, place: RowsPlace) -> Mapping[str, Any] | None:
        """Returns the manifest of the newest snapshot for ``place`` among those that the table keeps."""
        table = self._load()
        return None if table is None else _find_manifest(table, place)

    def commit(self, commit: Commit) -> Committed:
        """Writes the rows in place of earlier ones of the same instance, or merges them by primary key.

        Raises:
            DestinationError: another attempt committed since, or the table cannot hold the records.
        """
        self._columns.check(commit.rows.schema, self.uri)
        check_names(commit.rows.schema.fields, self.uri)
        for tried in range(_TRIES):
            table = self._load() or self._create(commit)
            current = _find_manifest(table, commit.place)
            if current is not None and current.get("attempt") != commit.found:
                raise superseded_error(self.uri)
            try:
                return self._write(table, commit)
            except CommitFailedException:
                if tried == _TRIES - 1:
                    raise
                time.sleep(_FIRST_WAIT * 2**tried)
        raise AssertionError("unreachable")

    def list_instances(self, place: RowsPlace) -> Collection[int]:
        """Returns the numbers of the instances of the run that have rows."""
        table = self._load()
        if table is None:
            return ()
        columns = self._columns
        run = And(
            EqualTo(columns.dag_id, place.dag_id),
            EqualTo(columns.endpoint, place.endpoint),
            EqualTo(columns.run_id, place.run_id),
        )
        rows = table.scan(row_filter=run, selected_fields=(columns.map_index,))
        return {
            number
            for batch in rows.to_arrow_batch_reader()
            for number in batch.column(0).to_pylist()
        }

    def remove(self, place: RowsPlace) -> None:
        """Removes the rows of one task instance, in a snapshot that says so."""
        table = self._load()
        if table is not None:
            table.delete(self._filter(place), snapshot_properties=_describe(place, None))

    def read(self, place: RowsPlace, skip: int, take: int) -> Iterator[Any]:
        """Yields records of the snapshot that the run wrote, file by file in the order of their names.

        Raises:
            ApiError: this snapshot has expired.
        """
        table = self._load()
        snapshot = int(place.version) if place.version else None
        if table is None or (snapshot is not None and table.snapshot_by_id(snapshot) is None):
            raise _gone_error(self.uri, place.version)
        found = self._filter(place)
        scan = table.scan(row_filter=found, snapshot_id=snapshot)
        reader = ArrowScan(table.metadata, table.io, scan.projection(), found)
        kinds = _read_kinds(table)
        for task in sorted(scan.plan_files(), key=lambda one: one.file.file_path):
            for batch in reader.to_record_batches([task]):
                rows = batch.slice(skip, take)
                skip = max(0, skip - batch.num_rows)
                take -= rows.num_rows
                own = pa.Table.from_batches([rows]).drop_columns(list(self._columns.names))
                yield from read_lake_records(own, kinds)

    def _load(self) -> PyIcebergTable | None:
        try:
            return self._catalog.load_table(self._name)
        except NoSuchTableError:
            return None

    def _create(self, commit: Commit) -> PyIcebergTable:
        """Creates the empty table; when another task was faster, its table counts."""
        records = fit_schema(RecordSchema(), commit.rows.schema, self.uri)
        self._catalog.create_namespace_if_not_exists(self._name.rpartition(".")[0])
        schema = self._columns.extend_schema(to_lake_schema(records))
        kinds = {_KINDS: _encode(find_text_kinds(records))}
        with suppress(TableAlreadyExistsError):
            self._catalog.create_table(self._name, schema, properties={**_PROPERTIES, **kinds})
        return self._catalog.load_table(self._name)

    def _write(self, table: PyIcebergTable, commit: Commit) -> Committed:
        present = from_lake_schema(schema_to_pyarrow(table.schema()), _read_kinds(table))
        present = self._columns.remove_from(present)
        check_names([*present.fields, *commit.rows.schema.fields], self.uri)
        records = fit_schema(present, commit.rows.schema, self.uri)
        schema = self._columns.extend_schema(to_lake_schema(records))
        batches = self._columns.extend(commit.rows.read_batches(records), commit.place, schema)
        files: list[str] = []
        try:
            with table.transaction() as transaction, warnings.catch_warnings():
                # Of rows that are not there to be deleted, at every first try of a run.
                warnings.filterwarnings("ignore", message="Delete operation did not match")
                with transaction.update_schema() as update:
                    update.union_by_name(schema)
                transaction.set_properties({_KINDS: _encode(find_text_kinds(records))})
                if self._settings.mode == "merge":
                    rows = pa.Table.from_batches(batches, schema)
                    self._merge(table, transaction, rows, commit)
                else:
                    described = _describe(commit.place, commit.manifest)
                    transaction.delete(self._filter(commit.place), snapshot_properties=described)
                    _write_files(table, batches, schema, files)
                    _add_files(transaction, files, schema, described)
        except BaseException:
            _remove_files(table, files)
            raise
        done = self._catalog.load_table(self._name)
        snapshot = _find_snapshot(done, commit.place)
        return Committed(str(snapshot or ""), commit.rows.bytes)

    def _merge(
        self,
        table: PyIcebergTable,
        transaction: Transaction,
        rows: pa.Table,
        commit: Commit,
    ) -> None:
        described = _describe(commit.place, commit.manifest)
        keys, order = list(self._settings.keys), self._settings.order
        if order is not None and rows.num_rows:
            rows = keep_newer(rows, table.scan(selected_fields=(*keys, order)), keys, order)
        if rows.num_rows:
            transaction.upsert(rows, keys, snapshot_properties=described)
        transaction.append(rows.schema.empty_table(), described)

    def _filter(self, place: RowsPlace) -> BooleanExpression:
        pairs = zip(self._columns.names, self._columns.values(place), strict=True)
        first, second, *others = [EqualTo(name, value) for name, value in pairs]
        return And(first, second, *others)


def _write_files(
    table: PyIcebergTable, batches: Iterator[pa.RecordBatch], schema: pa.Schema, files: list[str]
) -> None:
    """Writes data files beside those of the table, and adds each to ``files`` before it is begun."""
    for first in batches:
        files.append(f"{table.location()}/data/oauth-taskflow-{uuid.uuid4().hex}.parquet")
        with (
            table.io.new_output(files[-1]).create() as sink,
            pq.ParquetWriter(sink, schema, compression="zstd") as writer,
        ):
            writer.write_batch(first)
            written = first.nbytes
            while written < _FILE_BYTES and (batch := next(batches, None)) is not None:
                writer.write_batch(batch)
                written += batch.nbytes


def _add_files(
    transaction: Transaction, files: list[str], schema: pa.Schema, described: dict[str, str]
) -> None:
    if files:
        transaction.add_files(files, described, check_duplicate_files=False)
    else:  # a run without records is a commit, too
        transaction.append(schema.empty_table(), described)


def _remove_files(table: PyIcebergTable, files: list[str]) -> None:
    for name in files:
        with suppress(Exception):
            table.io.delete(name)


def _find_snapshot(table: PyIcebergTable, place: RowsPlace) -> int | None:
    wanted = _encode(_key(place))
    for snapshot in reversed(table.metadata.snapshots):
        summary = snapshot.summary
        if summary is not None and summary.additional_properties.get(_ENTRY) == wanted:
            return int(snapshot.snapshot_id)
    return None


def _find_manifest(table: PyIcebergTable, place: RowsPlace) -> Mapping[str, Any] | None:
    snapshot = table.snapshot_by_id(_find_snapshot(table, place) or -1)
    summary = snapshot.summary if snapshot is not None else None
    if summary is None:
        return None
    found: Mapping[str, Any] | None = msgspec.json.decode(
        summary.additional_properties.get(f"{_ENTRY}.manifest", "null")
    )
    return found


def _describe(place: RowsPlace, manifest: Mapping[str, Any] | None) -> dict[str, str]:
    return {_ENTRY: _encode(_key(place)), f"{_ENTRY}.manifest": _encode(manifest)}


def _key(place: RowsPlace) -> list[Any]:
    return [place.dag_id, place.endpoint, place.run_id, place.map_index]


def _read_kinds(table: PyIcebergTable) -> Mapping[str, str]:
    found: Mapping[str, str] = msgspec.json.decode(table.properties.get(_KINDS, "{}"))
    return found


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _gone_error(uri: str, version: str) -> ApiError:
    return ApiError(
        f"Snapshot {version or '(newest)'} of the table is gone",
        where=f"at {uri}",
        hint="Run the task that wrote it again; let snapshots expire later.",
    )
