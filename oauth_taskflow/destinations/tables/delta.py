"""A Delta Lake table: every run is one transaction of it, with the manifest in the transaction's metadata.

https://delta-io.github.io/delta-rs/ and the protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from oauth_taskflow.destinations.arrow.reading import take_rows
from oauth_taskflow.destinations.output_folders import read_reason
from oauth_taskflow.destinations.tables.base import Commit, Committed
from oauth_taskflow.destinations.tables.column_names import FORBIDDEN_IN_DELTA, check_names
from oauth_taskflow.destinations.tables.conditional_writes import ignores_conditions
from oauth_taskflow.destinations.tables.delta_files import (
    FILE_BYTES,
    WRITER,
    quote_column,
    scan_files,
)
from oauth_taskflow.destinations.tables.delta_log import (
    RunNotes,
    describe_run,
    list_instances,
    read_newest_note,
)
from oauth_taskflow.destinations.tables.delta_merge import (
    add_order_columns,
    find_newer,
    merge_rows,
    note_nothing,
)
from oauth_taskflow.destinations.tables.fitting import drop_empty, fit_schema
from oauth_taskflow.destinations.tables.lake_schema import (
    from_lake_schema,
    read_lake_records,
    to_lake_schema,
)
from oauth_taskflow.destinations.tables.merging import MergeFields, pick_rows, plan_merge
from oauth_taskflow.destinations.tables.narrow_columns import ExactBatches, adopt_maps, refuse_maps
from oauth_taskflow.destinations.tables.overtaking import is_own, repeat_when_overtaken
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.store_options import read_store_options
from oauth_taskflow.destinations.tables.table_options import Mode
from oauth_taskflow.destinations.tables.technical_columns import TechnicalColumns
from oauth_taskflow.errors import ApiError, DestinationError
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.redaction import redact_url

# Seconds in which another writer, which has looked for a newer version already, writes its own.
_REPLACED_WITHIN = 2.0
# The library decodes % once more than it encodes it, and finds no log, and so no earlier attempt, below a folder with ? or #.
_NOT_IN_PATHS = "%?#"


class DeltaSettings(msgspec.Struct, frozen=True):
    """The table as the spec describes it.

    ``keys`` are the columns of the primary key, ``order`` that of the order of rows, and ``order_form`` how records write it.
    """

    mode: Mode = "replace_run"
    prefix: str = "_"
    partition_by: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    order: str | None = None
    order_form: str | tuple[str, ...] | None = None


class DeltaLakeTable:
    """The table in the folder ``path``: a ``pathlib.Path``, a ``UPath`` or an ``ObjectStoragePath``."""

    is_nested = True

    def __init__(self, path: Any, settings: DeltaSettings) -> None:
        self._path = path
        self._settings = settings
        self._columns = TechnicalColumns(settings.prefix)
        self._notes = RunNotes()
        self._ignores_conditions = False

    @property
    def uri(self) -> str:
        """The URI of the folder."""
        if isinstance(self._path, Path):
            return self._path.absolute().as_uri()
        return redact_url(_without_connection(self._path))

    def check(self) -> None:
        """Looks for the table's log; on a disk, makes the folder."""
        if isinstance(self._path, Path):
            if bad := set(_NOT_IN_PATHS) & set(str(self._path)):
                raise DestinationError(
                    f"The path of a Delta Lake table cannot have the sign {min(bad)}",
                    where=f"at {self.uri}",
                    hint="Choose another folder: path.",
                )
            self._path.mkdir(parents=True, exist_ok=True)
        self._load()
        self._ignores_conditions = ignores_conditions(self._path)

    def find_manifest(self, place: RowsPlace) -> Mapping[str, Any] | None:
        """Returns the manifest of the newest transaction for ``place`` among the last thousand."""
        table = self._load()
        return None if table is None else self._notes.find(table, place)[1]

    def commit(self, commit: Commit) -> Committed:
        """Writes the rows in place of earlier ones of the same instance, or merges them by primary key.

        Raises:
            DestinationError: another attempt committed since, or the table cannot hold the records.
        """
        self._columns.check(commit.rows.schema, self.uri)
        check_names(commit.rows.schema.fields, self.uri, FORBIDDEN_IN_DELTA)
        # Another transaction changed the table meanwhile: whose rows it wrote is seen after loading it again.
        refused_at: set[int] = set()
        return repeat_when_overtaken(
            lambda: self._commit_once(commit, refused_at), CommitFailedError
        )

    def _commit_once(self, commit: Commit, refused_at: set[int]) -> Committed:
        table = self._load() or self._create(commit)
        if (done := self._find_own(table, commit)) is not None:
            return done
        version = table.version()
        try:
            self._write(table, commit)
        except CommitFailedError as error:
            if version in refused_at:  # no other transaction overtook it meanwhile
                raise _refusal_error(error, self.uri) from error
            refused_at.add(version)
            raise
        except Exception:
            # The answer may have been lost after the commit.
            with suppress(Exception):
                if (done := self._find_own(self._open(), commit)) is not None:
                    return done
            raise
        done = self._find_own(table, commit)
        if done is None or not self._is_kept(done, commit):
            self._notes = RunNotes()  # these have the transaction that is gone
            raise CommitFailedError("another transaction was written in place of this one")
        return done

    def _is_kept(self, done: Committed, commit: Commit) -> bool:
        """Looks again, a moment later, where a store lets another transaction replace this one."""
        if not self._ignores_conditions:
            return True
        time.sleep(_REPLACED_WITHIN)
        manifest = read_newest_note(self._open(int(done.version)), commit.place)
        return manifest is not None and is_own(manifest, commit, self.uri)

    def _find_own(self, table: DeltaTable, commit: Commit) -> Committed | None:
        """Returns the version that this attempt has committed; None while it has not.

        Raises:
            DestinationError: another attempt committed since this one was opened.
        """
        version, manifest = self._notes.find(table, commit.place)
        own = is_own(manifest, commit, self.uri)
        return Committed(str(version), commit.rows.bytes) if own else None

    def list_instances(self, place: RowsPlace) -> Collection[int]:
        """Returns the numbers of the instances of the run that have rows; in mode ``merge``, those with a manifest."""
        table = self._load()
        if table is None:
            return ()
        if self._settings.mode == "merge":
            return list_instances(table, place)
        columns = self._columns
        found = self._filter(place, columns.names[:3])
        batches = scan_files(table.to_pyarrow_dataset(), found, columns.names)
        rows = (pa.Table.from_batches([batch]).filter(found) for batch in batches)
        return {number for part in rows for number in part[columns.map_index].to_pylist()}

    def remove(self, place: RowsPlace) -> None:
        """Removes the rows of one task instance, in a transaction that says so; in mode ``merge`` the transaction is empty."""
        described = describe_run(place, None)

        def remove_once() -> None:
            table = self._load()
            if table is None:
                return
            if self._settings.mode == "merge":
                note_nothing(table, _schema_of(table), described)
            else:
                table.delete(self._predicate(place), commit_properties=described)

        repeat_when_overtaken(remove_once, CommitFailedError)

    def read(self, place: RowsPlace, skip: int, take: int) -> Iterator[Any]:
        """Yields records of the version that the run wrote, file by file in the order of their names.

        Raises:
            ApiError: this version is gone: its files or its log were vacuumed.
        """
        version = int(place.version) if place.version else None
        try:
            dataset = self._open(version).to_pyarrow_dataset()
            found = self._filter(place, self._columns.names)
            parts = (
                pa.Table.from_batches([one]).filter(found) for one in scan_files(dataset, found)
            )
            own = itertools.chain.from_iterable(part.to_batches() for part in parts)
            for rows in take_rows(own, skip, take):
                yield from self._read_rows(rows, dataset.schema)
        except (TableNotFoundError, DeltaError, FileNotFoundError) as error:
            raise _gone_error(self.uri, place.version) from error

    def _read_rows(self, batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[Any]:
        own = pa.Table.from_batches([batch], schema).drop_columns(list(self._columns.names))
        return read_lake_records(own)

    def _open(self, version: int | None = None) -> DeltaTable:
        options = dict(read_store_options(self._path)) or None
        return DeltaTable(self._address, version=version, storage_options=options)

    def _load(self) -> DeltaTable | None:
        try:
            return self._open()
        except TableNotFoundError:
            return None

    @property
    def _address(self) -> str:
        return self.uri if isinstance(self._path, Path) else _without_connection(self._path)

    def _create(self, commit: Commit) -> DeltaTable:
        """Creates the empty table; when another task was faster, its table counts."""
        records = fit_schema(RecordSchema(), commit.rows.schema, self.uri)
        self._check_partitions(records)
        DeltaTable.create(
            self._address,
            self._columns.extend_schema(to_lake_schema(records)),
            mode="ignore",
            partition_by=list(self._settings.partition_by) or None,
            storage_options=dict(read_store_options(self._path)) or None,
        )
        return self._open()

    def _check_partitions(self, records: RecordSchema) -> None:
        for name in self._settings.partition_by:
            kind = records.fields.get(name)
            if name not in self._columns.names and (kind is None or kind.fields or kind.item):
                have = "no value yet" if kind is None else f"{kind.kind} values"
                raise DestinationError(
                    f"The table cannot be created: the field {name[:100]!r} of partition_by has {have}",
                    where=f"at {self.uri}",
                    hint="Name a field with texts, numbers or dates; give its type in the schema of the contract.",
                )

    def _write(self, table: DeltaTable, commit: Commit) -> None:
        there = _schema_of(table)
        refuse_maps(there, drop_empty(commit.rows.schema).fields, self.uri)
        present = self._columns.remove_from(from_lake_schema(there))
        records = fit_schema(present, commit.rows.schema, self.uri)
        check_names(records.fields, self.uri, FORBIDDEN_IN_DELTA)
        schema = self._columns.extend_schema(to_lake_schema(records))
        if self._settings.mode == "merge":
            self._merge(table, commit, records, schema)
            return
        batches = self._columns.extend(commit.rows.read_batches(records), commit.place, schema)
        # Also where no row matches: it makes two attempts of one run conflict, which plain appends do not.
        with self._read_exact(table, schema, batches) as exact:
            write_deltalake(
                table,
                exact,
                mode="overwrite",
                predicate=self._predicate(commit.place),
                schema_mode="merge",
                target_file_size=FILE_BYTES,
                writer_properties=WRITER,
                commit_properties=describe_run(commit.place, commit.manifest),
            )

    def _merge(
        self, table: DeltaTable, commit: Commit, records: RecordSchema, schema: pa.Schema
    ) -> None:
        settings, described = self._settings, describe_run(commit.place, commit.manifest)
        fields = MergeFields(settings.keys, settings.order, settings.order_form)
        plan = plan_merge(commit.rows, records, fields, self.uri)
        if plan is None:
            note_nothing(table, adopt_maps(schema, _schema_of(table)), described)
            return
        add_order_columns(table, schema, plan)
        index, newer = find_newer(table, schema, plan)
        if not index.num_rows:
            note_nothing(table, adopt_maps(schema, _schema_of(table)), described)
            return
        newest = pick_rows(commit.rows.read_batches(records), index)
        rows = self._columns.extend(newest, commit.place, schema)
        with self._read_exact(table, schema, rows) as exact:
            merge_rows(table, exact, plan.keys, newer, described)

    @contextmanager
    def _read_exact(
        self, table: DeltaTable, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatchReader]:
        exact = ExactBatches(batches, schema, _schema_of(table), self.uri)
        try:
            yield pa.RecordBatchReader.from_batches(exact.schema, iter(exact))
        except DeltaError as error:
            raise exact.refused or error from None

    def _predicate(self, place: RowsPlace) -> str:
        *texts, number = place.key
        quoted = ["'" + text.replace("'", "''") + "'" for text in texts]
        pairs = zip(self._columns.names, [*quoted, str(number)], strict=True)
        return " AND ".join(f"{quote_column(name)} = {value}" for name, value in pairs)

    def _filter(self, place: RowsPlace, names: Sequence[str]) -> pc.Expression:
        values = dict(zip(self._columns.names, place.key, strict=True))
        found = pc.scalar(value=True)
        for name in names:
            found = found & (pc.field(name) == values[name])
        return found


def _schema_of(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _without_connection(path: Any) -> str:
    """Returns the URL of a path in a store, without the Airflow connection that may be in it."""
    return f"{path.protocol}://{str(path.path).lstrip('/')}"


def _refusal_error(error: CommitFailedError, uri: str) -> DestinationError:
    return DestinationError(
        f"The table refuses the commit ({read_reason(error)}); nothing was written",
        where=f"at {uri}",
        hint="Look at the properties of the table: delta.appendOnly must be off, since a run that is repeated replaces its rows.",
    )


def _gone_error(uri: str, version: str) -> ApiError:
    return ApiError(
        f"Version {version or '(newest)'} of the table is gone",
        where=f"at {uri}",
        hint="Run the task that wrote it again; vacuum the table with a longer retention.",
    )
