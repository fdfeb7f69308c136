"""A table in a warehouse that dlt writes to: records go to a separate staging table first, then one transaction takes them.

dlt creates tables, adds columns and loads files; the transaction is ours, since dlt has none with a manifest in it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from oauth_taskflow.destinations.arrow.reading import read_records
from oauth_taskflow.destinations.arrow.types import to_arrow_schema
from oauth_taskflow.destinations.output_folders import superseded_error
from oauth_taskflow.destinations.tables.base import Commit, Committed
from oauth_taskflow.destinations.tables.dlt_columns import (
    TECHNICAL_TYPES,
    NotedColumn,
    RowColumns,
    find_data_type,
    name_columns,
    read_present,
)
from oauth_taskflow.destinations.tables.dlt_credentials import Warehouse
from oauth_taskflow.destinations.tables.dlt_register import COLUMNS, TABLE, Register
from oauth_taskflow.destinations.tables.dlt_session import DltSession, open_session
from oauth_taskflow.destinations.tables.dlt_stage import Order, Stage, stage_name
from oauth_taskflow.destinations.tables.fitting import fit_schema
from oauth_taskflow.destinations.tables.merging import check_keys, check_merge, index_rows
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.row_order import RowOrder
from oauth_taskflow.destinations.tables.table_options import Mode
from oauth_taskflow.errors import ApiError, DestinationError
from oauth_taskflow.record_schema.model import RecordSchema

_log = logging.getLogger(__name__)
# Rows that one query gives: all of them are in memory.
_PAGE = 50_000
_TRIES = 5

# dlt calls values of unknown types text; texts would be cast by the warehouse, which rounds them.
_TEXT_HINT = (
    "Look at the column in the warehouse: if it is one of texts, cast the field (fields: cast) or write to a new table; dlt also "
    "calls columns text whose type it does not know, such as FLOAT of DuckDB: make it one that dlt writes (docs/dlt.md), "
    "such as DOUBLE."
)


class DltTableSettings(msgspec.Struct, frozen=True):
    """The table as the spec describes it. ``keys`` are the fields of the primary key, ``order`` that of the order of rows.

    ``order_form`` is the form of its values (``incremental.field_format``).
    """

    dataset: str
    table: str
    prefix: str = "_"
    naming: str = ""
    file_format: str = ""
    mode: Mode = "replace_run"
    keys: tuple[str, ...] = ()
    order: str | None = None
    order_form: str | tuple[str, ...] | None = None


class Merging(NamedTuple):
    """The fields of the primary key, and the order of records with one key.

    ``newest`` has the newest record of each key, where the warehouse cannot compare their order itself.
    """

    keys: Sequence[str]
    order: Order | None
    newest: pa.Table | None = None


class DltTable:
    """One table of a dataset."""

    is_nested = False

    def __init__(self, warehouse: Warehouse, settings: DltTableSettings) -> None:
        self._warehouse, self._settings = warehouse, settings
        self._columns = RowColumns(settings.prefix)

    @property
    def uri(self) -> str:
        """The address of the warehouse, the dataset and the table."""
        return f"{self._warehouse.address}/{self._settings.dataset}/{self._settings.table}"

    def _open(self, what: str, attempt: str = "reader") -> AbstractContextManager[DltSession]:
        settings = self._settings
        return open_session(self._warehouse, settings.dataset, settings.naming, what, attempt)

    def _register(self, session: DltSession) -> Register:
        return Register(session, session.normalize(self._settings.table))

    def check(self) -> None:
        """Connects to the warehouse; makes the folder of a file.

        Raises:
            DestinationError: the warehouse cannot be reached.
        """
        folder = self._warehouse.folder
        if folder is not None:
            if "?" in str(folder):  # DuckDB would put its log elsewhere, and lose the first commit
                raise DestinationError(
                    "DuckDB takes no path with a question mark",
                    where=f"at {self._warehouse.address}",
                    hint="Choose another folder.",
                )
            folder.mkdir(parents=True, exist_ok=True)
        with self._open("Opening the table") as session:
            session.query("SELECT 1")

    def find_manifest(self, place: RowsPlace) -> Mapping[str, Any] | None:
        """Returns the manifest that the register of the dataset has for ``place``."""
        with self._open("Reading the register of runs") as session:
            found = self._register(session).find(place)
        return None if found is None else found.manifest

    def commit(self, commit: Commit) -> Committed:
        """Loads the rows into a staging table, and takes them over in one transaction.

        Raises:
            DestinationError: another attempt committed since, or the table cannot hold the records.
        """
        attempt = str(commit.manifest["attempt"])
        self._columns.check_fields(commit.rows.schema, self.uri)
        with self._open("Committing to the table", attempt) as session:
            register = self._register(session)
            fields, columns, merging = self._fit(session, register, commit.rows.schema)
            self._ensure(session, columns, fields)
            register.prepare(commit.place, attempt, has_stage=commit.rows.rows > 0)
            stage = Stage(session, attempt, self._columns, columns, fields)
            try:
                merging = self._rank_rows(commit, fields, merging)
                if commit.rows.rows:
                    newest = None if merging is None else merging.newest
                    stage.load(self._quoted(session), commit, self._settings.file_format, newest)
                self._take_over(session, register, stage, commit, merging)
            except BaseException:
                with suppress(Exception):
                    self._clean(session, register, [attempt])
                raise
            try:
                self._clean(session, register, {*register.list_stages(commit.place), attempt})
            except Exception:  # noqa: BLE001 - the rows are committed
                _log.warning(
                    "A staging table stays at %s; the next try of this run drops it", self.uri
                )
        return Committed(attempt, commit.rows.bytes)

    def list_instances(self, place: RowsPlace) -> Collection[int]:
        """Returns the numbers of the instances of the run that the register has."""
        with self._open("Reading the register of runs") as session:
            return self._register(session).list_instances(place)

    def remove(self, place: RowsPlace) -> None:
        """Removes the rows of one task instance, and that they count; in mode ``merge`` only the latter."""
        with self._open("Removing rows") as session, session.transaction():
            self._register(session).unclaim(place)
            if self._settings.mode != "merge":
                self._delete(session, place)

    def read(self, place: RowsPlace, skip: int, take: int) -> Iterator[Any]:
        """Yields records in the order in which they were pulled.

        Raises:
            ApiError: another attempt has replaced them.
        """
        with self._open("Reading the table") as session:
            found = self._register(session).find(place)
            if found is None or (place.version and found.attempt != place.version):
                raise _gone_error(self.uri)
            rows = int(found.manifest["rows"])
            notes = found.columns
            first = skip if found.is_dense else 0
            skip = 0 if found.is_dense else skip
            page = max(1, min(_PAGE, take if found.is_dense else _PAGE))
            for start in range(first, rows, page):
                if take <= 0:
                    return
                table = self._read_page(session, place, notes, (start, start + page))
                # pyarrow would give a table without columns any number of rows.
                count = max(0, min(take, table.num_rows - skip))
                yield from read_records(table.slice(skip, count))
                skip = max(0, skip - table.num_rows)
                take -= count

    def _read_page(
        self,
        session: DltSession,
        place: RowsPlace,
        notes: list[NotedColumn],
        numbers: tuple[int, int],
    ) -> pa.Table:
        """Returns the rows whose number is in the range ``numbers``."""
        row = session.quote(session.normalize(self._columns.row))
        wanted = ", ".join([row, *(_as_text(session, note) for note in notes)])
        where, values = self._where(session, place)
        rows = session.execute(
            f"SELECT {wanted} FROM {self._quoted(session)} WHERE {where} AND {row} >= %s AND {row} < %s ORDER BY {row}",  # noqa: S608
            *values,
            *numbers,
        )
        schema = to_arrow_schema(RecordSchema({note.field: note.type for note in notes}))
        columns = list(zip(*rows, strict=True))[1:] if rows else [()] * len(notes)
        if not notes:
            return pa.table({"": pa.nulls(len(rows))}).select([])
        arrays = [
            pa.array([_plain(value, note.type.kind) for value in values], field.type)
            for values, note, field in zip(columns, notes, schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _quoted(self, session: DltSession) -> str:
        return session.quote_table(session.normalize(self._settings.table))

    def _fit(
        self, session: DltSession, register: Register, records: RecordSchema
    ) -> tuple[RecordSchema, dict[str, str], Merging | None]:
        """Returns the fields that are written, with the types of the table, their columns, and how rows are merged."""

        def listed_name(name: str) -> str:
            return session.fold(session.normalize(name)) if name.strip() else ""

        listed = session.find_columns(session.normalize(self._settings.table))
        technical = {listed_name(name) for name in self._columns.all_names}
        own = {name: kind for name, kind in listed.items() if name not in technical}
        notes = register.read_notes() if listed else []
        present = read_present(own, notes, records, listed_name)
        fitted = fit_schema(present, records, self.uri, text_hint=_TEXT_HINT)
        columns = name_columns(
            [*self._columns.all_names, *fitted.fields], session.normalize, self.uri
        )
        written = {name: kind for name, kind in fitted.fields.items() if name in records.fields}
        used = {name: columns[name] for name in (*self._columns.all_names, *written)}
        merging = None
        if self._settings.mode == "merge":
            keys, order = check_merge(self._settings.keys, self._settings.order, fitted, self.uri)
            by = None
            if order is not None and order in columns:
                by = Order(order, columns[order], self._rank(order, RecordSchema(written)))
            merging = Merging(keys, by)
        return RecordSchema(written), used, merging

    def _rank(self, order: str, written: RecordSchema) -> RowOrder | None:
        """Returns what gives the values of ``order`` as they are compared; None where the warehouse compares them."""
        if order not in written.fields:
            return None
        ranks = RowOrder(order, self._settings.order_form, self.uri)
        return None if ranks.is_plain(to_arrow_schema(written).field(order).type) else ranks

    def _rank_rows(
        self, commit: Commit, fields: RecordSchema, merging: Merging | None
    ) -> Merging | None:
        """Returns ``merging`` with its newest rows and their ranks; unchanged where the warehouse compares."""
        ranks = merging and merging.order and merging.order.ranks
        if merging is None or ranks is None or not commit.rows.rows:
            return merging
        check_keys(merging.keys, fields, self.uri)
        batches = commit.rows.read_batches(fields)
        return merging._replace(newest=index_rows(batches, merging.keys, ranks, self.uri))

    def _ensure(
        self, session: DltSession, columns: Mapping[str, str], fields: RecordSchema
    ) -> None:
        """Lets dlt create the table, its columns and the register; when another task was faster, its columns count."""
        kinds = map(find_data_type, fields.fields.values())
        types = dict(zip(columns.values(), (*TECHNICAL_TYPES, *kinds), strict=True))
        wanted = {
            session.normalize(self._settings.table): types,
            session.normalize(TABLE): {session.normalize(k): v for k, v in COLUMNS.items()},
        }
        tried = 0
        while missing := {t: named for t, named in wanted.items() if _lacks(session, t, named)}:
            tried += 1
            try:
                session.ensure(missing)
            except Exception:
                if tried == _TRIES:
                    raise
                time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - no secret

    def _take_over(
        self,
        session: DltSession,
        register: Register,
        stage: Stage,
        commit: Commit,
        merging: Merging | None,
    ) -> None:
        with session.transaction():
            if merging is not None:
                register.lock(stage.attempt)
            claimed = register.claim(
                commit.place, commit.found, commit.manifest, stage.notes, is_dense=merging is None
            )
            if not claimed:
                raise superseded_error(self.uri)
            if merging is not None:
                self._merge(session, stage, merging)
            else:
                self._delete(session, commit.place)
                stage.append(self._quoted(session))

    def _merge(self, session: DltSession, stage: Stage, merging: Merging) -> None:
        target, order = self._quoted(session), merging.order
        if merging.newest is not None and order is not None:
            stage.drop_older(target, merging.keys, order, merging.newest)
            order = None  # each key has one row now, which is not older than that of the table
        stage.merge(target, merging.keys, order, self.uri)

    def _clean(self, session: DltSession, register: Register, attempts: Collection[str]) -> None:
        """Removes staging tables, and what dlt wrote down about loading them."""
        for attempt in attempts:
            session.drop([session.normalize(stage_name(attempt))])
            session.forget(f"oauth_taskflow_{attempt}")
            register.remove_stage(attempt)

    def _delete(self, session: DltSession, place: RowsPlace) -> None:
        where, values = self._where(session, place)
        session.execute(f"DELETE FROM {self._quoted(session)} WHERE {where}", *values)  # noqa: S608

    def _where(self, session: DltSession, place: RowsPlace) -> tuple[str, tuple[Any, ...]]:
        names = [session.quote(session.normalize(name)) for name in self._columns.names]
        return " AND ".join(f"{name} = %s" for name in names), place.key


def _lacks(session: DltSession, table: str, columns: Mapping[str, str]) -> bool:
    present = session.find_columns(table)
    return any(session.fold(name) not in present for name in columns)


def _as_text(session: DltSession, note: NotedColumn) -> str:
    """Returns a column for a query; PostgreSQL's driver would decode JSON, and round its numbers."""
    quoted = session.quote(note.column)
    is_json = note.kind == "json" and session.warehouse.kind == "postgres"
    return f"CAST({quoted} AS TEXT)" if is_json else quoted


def _plain(value: Any, kind: str) -> Any:
    if kind in {"json", "decimal"} and value is not None and not isinstance(value, str):
        return msgspec.json.encode(value).decode() if kind == "json" else str(value)
    return value


def _gone_error(uri: str) -> ApiError:
    return ApiError(
        "Another attempt has replaced the rows of this run, or they were removed",
        where=f"at {uri}",
        hint="Run the task that wrote them, and then this one.",
    )
