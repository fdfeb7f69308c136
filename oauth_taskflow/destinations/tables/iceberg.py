"""An Iceberg table: every run is one commit to its catalog, with the manifest in the snapshot's summary.

https://py.iceberg.apache.org/ and the format: https://iceberg.apache.org/spec/
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationError,
)
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    LessThanOrEqual,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table import Transaction

from oauth_taskflow.destinations.arrow.reading import take_rows
from oauth_taskflow.destinations.tables.base import Commit, Committed
from oauth_taskflow.destinations.tables.column_names import FORBIDDEN_IN_ICEBERG, check_names
from oauth_taskflow.destinations.tables.fitting import fit_schema
from oauth_taskflow.destinations.tables.iceberg_catalog import create_namespace
from oauth_taskflow.destinations.tables.iceberg_files import (
    DataFiles,
    RunFiles,
    rewrite_without,
    stage_files,
)
from oauth_taskflow.destinations.tables.iceberg_ids import add_field_ids
from oauth_taskflow.destinations.tables.iceberg_notes import (
    describe_run,
    find_run,
    list_instances,
    read_kinds,
    write_kinds,
)
from oauth_taskflow.destinations.tables.iceberg_scan import ArrowScan
from oauth_taskflow.destinations.tables.lake_schema import (
    from_lake_schema,
    read_lake_records,
    to_lake_schema,
)
from oauth_taskflow.destinations.tables.merging import MergeFields, pick_rows, plan_merge
from oauth_taskflow.destinations.tables.overtaking import is_own, repeat_when_overtaken
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.replacement import Replacement
from oauth_taskflow.destinations.tables.table_options import Mode
from oauth_taskflow.destinations.tables.technical_columns import TechnicalColumns
from oauth_taskflow.errors import ApiError, DestinationError
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.redaction import redact_url

# Metadata files of older commits would pile up, one a run.
_PROPERTIES = {
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}


class IcebergSettings(msgspec.Struct, frozen=True):
    """The table as the spec describes it.

    ``keys`` are the columns of the primary key, ``order`` that of the order of rows, and ``order_form`` how records write it.
    """

    mode: Mode = "replace_run"
    prefix: str = "_"
    keys: tuple[str, ...] = ()
    order: str | None = None
    order_form: str | tuple[str, ...] | None = None


class IcebergTable:
    """The table ``name`` (``namespace.table``) of a catalog."""

    is_nested = True

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
        return None if table is None else find_run(table, place)[1]

    def commit(self, commit: Commit) -> Committed:
        """Writes the rows in place of earlier ones of the same instance, or merges them by primary key.

        Raises:
            DestinationError: another attempt committed since, or the table cannot hold the records.
        """
        self._columns.check(commit.rows.schema, self.uri)
        check_names(commit.rows.schema.fields, self.uri, FORBIDDEN_IN_ICEBERG)
        # Another transaction changed the table meanwhile: whose rows it wrote is seen after loading it again.
        own = RunFiles()
        try:
            return repeat_when_overtaken(
                lambda: self._commit_once(commit, own), CommitFailedException
            )
        except CommitFailedException:
            own.remove()
            raise

    def _commit_once(self, commit: Commit, own: RunFiles) -> Committed:
        files = None
        try:
            table = self._load() or self._create(commit)
            if (done := self._find_own(table, commit, own.bytes)) is not None:
                return done
            files = DataFiles(table)
            transaction = self._stage(table, commit, files, own)
        except BaseException:
            own.remove()
            if files is not None:
                files.remove()
            raise
        size = files.bytes + own.bytes
        try:
            transaction.commit_transaction()
        except CommitFailedException:
            files.remove()
            raise
        except Exception:
            # The answer may have been lost after the commit; then the files are part of the table.
            with suppress(Exception):
                found = self._catalog.load_table(self._name)
                if (done := self._find_own(found, commit, size)) is not None:
                    return done
            raise
        found = self._catalog.load_table(self._name)
        return self._find_own(found, commit, size) or Committed("", size)

    def _find_own(self, table: PyIcebergTable, commit: Commit, size: int) -> Committed | None:
        """Returns the snapshot that this attempt has committed; None while it has not.

        Raises:
            DestinationError: another attempt committed since this one was opened.
        """
        snapshot, manifest = find_run(table, commit.place)
        return Committed(str(snapshot), size) if is_own(manifest, commit, self.uri) else None

    def list_instances(self, place: RowsPlace) -> Collection[int]:
        """Returns the numbers of the instances of the run that have rows; in mode ``merge``, those with a manifest."""
        table = self._load()
        if table is None:
            return ()
        if self._settings.mode == "merge":
            return list_instances(table, place)
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
        """Removes the rows of one task instance, in a snapshot that says so; in mode ``merge`` the snapshot changes none."""
        repeat_when_overtaken(lambda: self._remove_once(place), CommitFailedException)

    def _remove_once(self, place: RowsPlace) -> None:
        table = self._load()
        if table is None:
            return
        files, described = DataFiles(table), describe_run(place, None)
        transaction = table.transaction()
        if self._settings.mode == "merge":
            transaction.append(schema_to_pyarrow(table.schema()).empty_table(), described)
        else:
            replaced = self._remove_rows(table, place, files)
            stage_files(transaction, files.names, replaced, described)
        try:
            transaction.commit_transaction()
        except CommitFailedException:
            files.remove()
            raise

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
        kinds = read_kinds(table)
        tasks = sorted(scan.plan_files(), key=lambda one: one.file.file_path)
        scans = (reader.to_record_batches([task]) for task in tasks)
        for rows in take_rows(itertools.chain.from_iterable(scans), skip, take):
            own = pa.Table.from_batches([rows]).drop_columns(list(self._columns.names))
            yield from read_lake_records(own, kinds)

    def _load(self) -> PyIcebergTable | None:
        try:
            table = self._catalog.load_table(self._name)
        except NoSuchTableError:
            return None
        # A commit that another one overtook is not repeated by the library: whose rows the other wrote is looked at first.
        table.metadata.properties["commit.retry.num-retries"] = "0"
        return table

    def _create(self, commit: Commit) -> PyIcebergTable:
        """Creates the empty table; when another task was faster, its table counts."""
        records = fit_schema(RecordSchema(), commit.rows.schema, self.uri)
        create_namespace(self._catalog, self._name.rpartition(".")[0])
        schema = self._columns.extend_schema(to_lake_schema(records))
        # Whole values of the technical columns: files of other runs are then left out without being read.
        metrics = {f"write.metadata.metrics.column.{n}": "full" for n in self._columns.names}
        kinds = write_kinds(records)
        with suppress(TableAlreadyExistsError):
            self._catalog.create_table(
                self._name, schema, properties={**_PROPERTIES, **metrics, **kinds}
            )
        found = self._load()
        if found is None:
            raise DestinationError(
                "The table was dropped while it was created", where=f"at {self.uri}"
            )
        return found

    def _stage(
        self, table: PyIcebergTable, commit: Commit, files: DataFiles, own: RunFiles
    ) -> Transaction:
        present = from_lake_schema(schema_to_pyarrow(table.schema()), read_kinds(table))
        present = self._columns.remove_from(present)
        records = fit_schema(present, commit.rows.schema, self.uri, widens_decimals=True)
        check_names(records.fields, self.uri, FORBIDDEN_IN_ICEBERG)
        # Other columns of the table stay as they are, also those of types that records do not have.
        # One that must have a value is widened, for the records that have none.
        required = {field.name for field in table.schema().fields if field.required}
        fields = commit.rows.schema.fields
        given = {name for name, kind in fields.items() if kind.kind != "null"} | required
        own_records = RecordSchema(
            {name: kind for name, kind in records.fields.items() if name in given}
        )
        schema = self._columns.extend_schema(to_lake_schema(own_records))
        transaction = table.transaction()
        try:
            with transaction.update_schema() as update:
                update.union_by_name(schema)
        except ValidationError as error:
            raise _misfit_error(error, self.uri) from error
        schema = add_field_ids(schema, transaction.table_metadata.schema())
        rows, replaced = self._choose(table, commit, records, own_records, files)
        batches = self._columns.extend(rows, commit.place, schema)
        if self._settings.mode == "merge":  # which rows are written depends on the table
            files.write(batches, schema)
        else:
            own.write(table, batches, schema)
        names = [*files.names, *own.names]
        transaction.set_properties(write_kinds(records))
        described = describe_run(commit.place, commit.manifest)
        stage_files(transaction, names, replaced, described)
        if not names:  # a run without records is a commit, too
            transaction.append(schema.empty_table(), described)
        return transaction

    def _choose(
        self,
        table: PyIcebergTable,
        commit: Commit,
        records: RecordSchema,
        own_records: RecordSchema,
        files: DataFiles,
    ) -> tuple[Iterator[pa.RecordBatch], list[DataFile]]:
        """Returns the rows to write, and the files that go away; rows of those that stay are written to ``files``."""
        rows = commit.rows.read_batches(own_records)
        if self._settings.mode != "merge":
            return rows, self._remove_rows(table, commit.place, files)
        settings = self._settings
        fields = MergeFields(settings.keys, settings.order, settings.order_form)
        plan = plan_merge(commit.rows, records, fields, self.uri)
        if plan is None:
            return rows, []
        keys, order, index = plan
        present = set(table.schema().column_names)
        replaced: list[DataFile] = []
        if present.issuperset(
            keys
        ):  # without a key column no row of the table can have one of the keys
            has_order = order is not None and order.name in present
            newer = Replacement(index, keys, order if has_order else None)
            asked = (_may_match(newer), newer.columns, newer.choose)
            replaced = rewrite_without(table, *asked, files)
            index = newer.newer()
        return pick_rows(rows, index), replaced

    def _remove_rows(
        self, table: PyIcebergTable, place: RowsPlace, files: DataFiles
    ) -> list[DataFile]:
        values = place.key

        def choose(batch: pa.RecordBatch) -> pa.BooleanArray:
            found = (
                pc.equal(column, value) for column, value in zip(batch.columns, values, strict=True)
            )
            return functools.reduce(pc.and_, found)

        return rewrite_without(table, self._filter(place), self._columns.names, choose, files)

    def _filter(self, place: RowsPlace) -> BooleanExpression:
        pairs = zip(self._columns.names, place.key, strict=True)
        first, second, *others = [EqualTo(name, value) for name, value in pairs]
        return And(first, second, *others)


def _may_match(rows: Replacement) -> BooleanExpression:
    """Returns a condition that leaves out files whose keys are all below or above those of the run."""
    found = rows.range()
    if found is None:
        return AlwaysTrue()
    name, low, high = found
    return And(GreaterThanOrEqual(name, low), LessThanOrEqual(name, high))


def _gone_error(uri: str, version: str) -> ApiError:
    return ApiError(
        f"Snapshot {version or '(newest)'} of the table is gone",
        where=f"at {uri}",
        hint="Run the task that wrote it again; let snapshots expire later.",
    )


def _misfit_error(error: ValidationError, uri: str) -> DestinationError:
    return DestinationError(
        f"A column of the table, which was made elsewhere, cannot hold the field of its name ({error}); nothing was written",
        where=f"at {uri}",
        hint="Make it a column of the type behind the arrow, rename the field (fields: move), or write to a new table.",
    )
