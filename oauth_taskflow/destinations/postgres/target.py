"""The table that an attempt fills: its columns, and the statements for its layout and mode."""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.api.decoders.json import plain_keys
from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.postgres.columns import Column, plan_columns
from oauth_taskflow.destinations.postgres.database import execute, load_psycopg, pin_settings
from oauth_taskflow.destinations.postgres.identifiers import quote_name
from oauth_taskflow.destinations.postgres.observation import Observation
from oauth_taskflow.destinations.postgres.place import OutputPlace
from oauth_taskflow.destinations.postgres.register import Register
from oauth_taskflow.destinations.postgres.row_filters import filtered_error, has_row_filters
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.destinations.postgres.statements import (
    RUN_COLUMNS,
    Merge,
    Selection,
    build_key_terms,
    build_staged_terms,
    differing_statement,
    insert_statement,
    match_run,
    select_columns,
    select_record,
)
from oauth_taskflow.destinations.postgres.tables import (
    change_columns,
    create_key_index,
    find_columns,
    has_key_index,
    lock_structure,
)
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType

if TYPE_CHECKING:
    from psycopg import Connection

_encode = msgspec.msgpack.Encoder().encode
_decode_fields = msgspec.msgpack.Decoder(dict[str, FieldType]).decode


class Target:
    """The rows of one run and task instance in a table."""

    def __init__(
        self,
        place: OutputPlace,
        settings: TableSettings,
        facts: EndpointFacts,
        register: Register,
        uri: str,
    ) -> None:
        self.place = place
        self.settings = settings
        self.register = register
        self.uri = uri
        self.run_values = place.key[1:]
        self._keys = [_plain_path(key) for key in facts.primary_key] if settings.merges else []
        is_raw = settings.layout == "raw"
        self._observation = None if is_raw else Observation(facts.declared, str(place))
        self._columns: list[Column] = []

    @property
    def copies_directly(self) -> bool:
        """Whether the lines of records are those of the table, so that they need no staging table."""
        return self._observation is None and not self.settings.merges

    @property
    def copy_columns(self) -> str:
        """The table and the columns that lines of records fill, those of the run last."""
        run = [self.settings.sql(name) for name in RUN_COLUMNS]
        record = quote_name(self.settings.record_column)
        return f"{self.place.table.sql} ({', '.join([record, *run])})"

    def observe(self, lines: bytes, first: int) -> None:
        """Notes the types of records, a line each, where they have columns; ``first`` is the number of the first one."""
        if self._observation is not None:
            self._observation.add(lines.splitlines(), first)

    def remember(self) -> bytes:
        """Returns the types so far, for ``recall``."""
        return _encode({} if self._observation is None else self._observation.seen)

    def recall(self, fields: bytes) -> None:
        """Takes the types that an earlier attempt noted."""
        if self._observation is not None:
            self._observation.unite(_decode_fields(fields))

    def describe(self) -> dict[str, Any]:
        """Returns what a reader of the table must know, for the manifest."""
        settings = self.settings
        about: dict[str, Any] = {
            "table": str(self.place.table),
            "layout": settings.layout,
            "mode": settings.mode,
            "column_prefix": settings.prefix,
        }
        if settings.layout == "raw":
            return {**about, "record_column": settings.record_column}
        return {**about, "columns": {one.field: [one.name, one.type] for one in self._columns}}

    def change_structure(self, connection: Connection) -> None:
        """Adds and widens columns as the records need it, and creates the index on the key.

        Raises:
            DestinationError: the name of a field cannot be that of a column, or the key is missing in the records.
        """
        if self._observation is None and not self.settings.merges:
            return
        self._plan(connection)
        if self._is_complete(connection):
            return
        with connection.transaction():
            pin_settings(connection)
            lock_structure(connection)
            self._plan(connection)
            change_columns(connection, self.place.table, self._columns)
            if self._has_key:
                with _explain_duplicates(self.place):
                    create_key_index(
                        connection, self.place.table, self._plain_key(), self._index_terms()
                    )

    def _plan(self, connection: Connection) -> None:
        if self._observation is not None:
            existing = find_columns(connection, self.place.table)
            self._columns = plan_columns(self._observation.fields, existing, self.settings)

    def _hold_columns(self, connection: Connection) -> None:
        """Keeps the columns as they are until the end of the transaction, and takes the types that they have now.

        Another run may have widened a column since it was planned, and PostgreSQL would round a double for a column of numeric.

        Raises:
            DestinationError: a column is missing now, or no longer holds the records.
        """
        if self._observation is None:
            return
        execute(connection, f"LOCK TABLE {self.place.table.sql} IN ROW EXCLUSIVE MODE")
        self._plan(connection)
        if unfit := self._unfit_columns():
            raise DestinationError(
                f"Column {unfit[0].name!r} was dropped or changed while the records were committed",
                where=f"at {self.place}",
                hint="Run the task again.",
                retryable=True,
            )

    def _unfit_columns(self) -> list[Column]:
        """The columns that the table does not have yet, or has as a type that is too narrow."""
        return [one for one in self._columns if one.is_new or one.using is not None]

    def _is_complete(self, connection: Connection) -> bool:
        if self._unfit_columns():
            return False
        if not self._has_key:
            return True
        return has_key_index(connection, self.place.table, self._plain_key(), self._index_terms())

    @property
    def _names(self) -> dict[str, str] | None:
        return None if self._observation is None else {c.field: c.name for c in self._columns}

    @property
    def _has_key(self) -> bool:
        """Whether the columns of the key are known: those of a run without records may not be."""
        names = self._names
        return bool(self._keys) and (names is None or all(key[0] in names for key in self._keys))

    def _plain_key(self) -> list[str] | None:
        names = self._names
        if names is None or any(len(key) > 1 for key in self._keys):
            return None
        return [names[key[0]] for key in self._keys]

    def _index_terms(self) -> list[str]:
        return build_key_terms(self._keys, self._names, self.settings.record_column)

    def _choose(self, stage: str) -> Selection:
        if self._observation is None:
            return select_record(self.settings, stage)
        return select_columns(self._columns, stage)

    def remove_own(self, connection: Connection) -> None:
        """Removes the rows of this run and task instance."""
        if self.settings.mode == "replace_run":
            own = match_run(self.settings)
            execute(connection, f"DELETE FROM {self.place.table.sql} WHERE {own}", self.run_values)
            if has_row_filters(connection, self.place.table) and self.count_own(connection):
                raise filtered_error("keeps rows of an earlier try of this run", str(self.place))

    def insert(self, connection: Connection, stage: str, expected: int) -> int:
        """Adds all rows of a staging table; returns their number.

        Raises:
            DestinationError: it has another number of rows, as after a crash of the database, or the table takes other ones.
        """
        statement = insert_statement(self.place.table, self.settings, self._choose(stage))
        added = execute(connection, statement, self.run_values).rowcount
        if added != expected:
            self._require_staged(connection, stage, expected)
            self.require_added(added, expected)
        return added

    def require_added(self, added: int, expected: int) -> None:
        """Checks the number of rows that the table has taken.

        Raises:
            DestinationError: it is not the ``expected`` one.
        """
        if added != expected:
            what = f"has left out {expected - added} of {expected} records"
            raise filtered_error(what, str(self.place))

    def require_own(self, connection: Connection, expected: int) -> None:
        """Checks that the next try finds the rows of this one, which it is to replace.

        Raises:
            DestinationError: a trigger has written other values into the columns that name the run.
        """
        if self.settings.mode != "replace_run" or not has_row_filters(connection, self.place.table):
            return
        if (found := self.count_own(connection)) != expected:
            what = f"writes {expected - found} of {expected} records as those of another run"
            raise filtered_error(what, str(self.place))

    def fill(self, connection: Connection, stage: str, expected: int) -> int:
        """Replaces the rows of the run by those of a staging table, or merges these; returns the rows of the run."""
        try:
            with connection.transaction():  # after an error, the table is asked which column it was
                if self.settings.merges:
                    return self._merge(connection, stage, expected)
                self._hold_columns(connection)
                self.remove_own(connection)
                added = self.insert(connection, stage, expected)
                self.require_own(connection, expected)
                return added
        except load_psycopg().DataError as error:
            raise self._explain(connection, stage) or error from None

    def _merge(self, connection: Connection, stage: str, expected: int) -> int:
        self._require_staged(connection, stage, expected)
        if expected:
            self._require_key()
            self.register.lock_table(connection, self.place.table)
            self._hold_columns(connection)
            staged_keys = build_staged_terms(self._keys, self._columns)
            choice = self._choose(stage)
            table, settings = self.place.table, self.settings
            merge = Merge(table, settings, choice, self._index_terms(), staged_keys)
            own = build_key_terms(self._keys, self._names, settings.record_column, "t")
            if settings.hard_delete:
                execute(connection, merge.delete(own))
            due: int | None = None
            if has_row_filters(connection, table):
                due = (execute(connection, merge.count_due(own)).fetchone() or (0,))[0]
            merged = execute(connection, merge.upsert(), self.run_values).rowcount
            if due is not None:
                self.require_added(merged, due)
        return self.count_own(connection)

    def _require_staged(self, connection: Connection, stage: str, expected: int) -> None:
        found = execute(connection, f"SELECT count(*) FROM {stage}").fetchone()
        _require_all((found or (0,))[0], expected, self.place)

    def _require_key(self) -> None:
        if not self._has_key:
            raise DestinationError(
                "The records have no values in the fields of primary_key, by which rows are merged",
                where=f"at {self.place}",
                hint="Correct primary_key, or write mode: replace_run.",
            )

    def count_own(self, connection: Connection) -> int:
        """Returns the number of rows of the run that are not deleted."""
        alive = f" AND {self.settings.sql('deleted_at')} IS NULL" if self.settings.merges else ""
        statement = f"SELECT count(*) FROM {self.place.table.sql} WHERE {match_run(self.settings)}"
        found = execute(connection, statement + alive, self.run_values).fetchone()
        return int((found or (0,))[0])

    def compare(self, connection: Connection, stage: str, rows: int) -> int:
        """Returns the rows of a run that is appended already, if the staged ones are the same.

        Raises:
            DestinationError: they differ.
        """
        statement = differing_statement(self.place.table, self.settings, self._choose(stage))
        chosen = (*self.run_values, *self.run_values)
        found = execute(connection, statement, chosen).fetchone()
        if found is None or found[0]:
            raise DestinationError(
                "This run appended its records already, and now read others; append never replaces rows",
                where=f"at {self.place}",
                hint="Write mode: replace_run, or trigger a new run.",
            )
        return rows

    def _explain(self, connection: Connection, stage: str) -> DestinationError | None:
        """Returns an error that names the column which refuses a value; None when each takes all."""
        psycopg = load_psycopg()
        for column in self._columns:
            choice = select_columns([column], stage)
            try:
                with connection.transaction():
                    execute(connection, f"SELECT count({choice.values[0]}) FROM {choice.source}")
            except psycopg.DataError as error:
                return DestinationError(
                    f"Column {column.name!r} of type {column.type} refuses a value ({error.diag.message_primary})",
                    where=f"at {self.place}",
                    hint="Correct the type in the contract or the table, or convert the field with fields.",
                )
        return None


@contextmanager
def _explain_duplicates(place: OutputPlace) -> Iterator[None]:
    try:
        yield
    except load_psycopg().errors.UniqueViolation:
        raise DestinationError(
            "The table has several rows of one primary key, so nothing can be merged into it",
            where=f"at {place}",
            hint="Remove the repeated rows, or write into another table.",
        ) from None


def _plain_path(path: str) -> tuple[str, ...]:
    keys = plain_keys(path)
    assert keys is not None  # specs.rules: postgres-merge-key
    return keys


def _require_all(found: int, expected: int, place: OutputPlace) -> None:
    if found != expected:
        raise DestinationError(
            f"The staging table has {found} records of {expected}: the database lost them, as after a crash",
            where=f"at {place}",
            hint="Run the task again; it starts over.",
            retryable=True,
        )
