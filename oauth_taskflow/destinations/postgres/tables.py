"""Creates tables, columns and indexes, one process at a time; a table that is complete is only looked at.

``CREATE TABLE IF NOT EXISTS`` of two processes at once collides in PostgreSQL, so each change is made under an advisory lock.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oauth_taskflow.destinations.postgres.columns import Column
from oauth_taskflow.destinations.postgres.database import execute
from oauth_taskflow.destinations.postgres.exact_values import read_type
from oauth_taskflow.destinations.postgres.identifiers import TableName, quote_name, quote_text
from oauth_taskflow.destinations.postgres.register import REGISTER_COLUMNS, STAGE_COLUMNS, Register
from oauth_taskflow.destinations.postgres.row_filters import require_visible_rows
from oauth_taskflow.destinations.postgres.settings import IDENTITY, TableSettings
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

_log = logging.getLogger(__name__)
_LOCK = "oauth-taskflow: tables and columns"
# A domain is followed by the type that it is based on, and so are the items of an array.
_FIND_COLUMNS = """\
WITH RECURSIVE found(name, type, modifier, depth, suffix) AS (
    SELECT attname, atttypid, atttypmod, 0, '' FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    UNION ALL
    SELECT name, coalesce(item.oid, t.typbasetype), CASE WHEN item.oid IS NULL THEN t.typtypmod ELSE -1 END, depth + 1,
        suffix || CASE WHEN item.oid IS NULL THEN '' ELSE '[]' END
    FROM found JOIN pg_type t ON t.oid = type
    LEFT JOIN pg_type item ON item.oid = t.typelem AND item.typarray = t.oid AND item.typtype = 'd'
    WHERE t.typtype = 'd' OR item.oid IS NOT NULL
)
SELECT name, format_type(type, modifier) || suffix FROM found ORDER BY name, depth"""
_FIND_KIND = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
_FIND_INDEX = """\
SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(%s) AND c.relname = %s"""
_FIND_UNIQUE = """\
SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid
AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality(%s::text[]) AND (
    SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a
    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
) = (SELECT array_agg(n ORDER BY n) FROM unnest(%s::text[]) n)"""
_TABLE_KINDS = frozenset({"r", "p"})


def lock_structure(connection: Connection) -> None:
    """Waits until no other process changes tables, for the rest of the transaction."""
    execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK,))


def find_columns(connection: Connection, table: TableName) -> dict[str, str]:
    """Returns the columns of ``table`` with their types; empty without the table.

    A domain, or an array of one, has its own name, or that of the type below it which would change values.
    """
    types: dict[str, str] = {}
    for name, column_type in execute(connection, _FIND_COLUMNS, (table.regclass,)):
        if name not in types or read_type(column_type) != column_type:
            types[name] = column_type
    return types


def prepare_tables(
    connection: Connection, table: TableName, settings: TableSettings, register: Register
) -> None:
    """Creates what is missing of the schema, the table with its technical columns, and the register.

    Raises:
        DestinationError: something else has the table's name, or no column for records.
    """
    is_complete = not _lacks(connection, table, settings, register)
    if settings.mode == "replace_run":
        require_visible_rows(connection, table)
    if is_complete:
        return
    with connection.transaction():
        lock_structure(connection)
        for schema in dict.fromkeys((table.schema, register.runs.schema)):
            _create_schema(connection, schema)
        _create_own(connection, register.runs, REGISTER_COLUMNS)
        _create_own(connection, register.stages, STAGE_COLUMNS)
        present = find_columns(connection, table)
        wanted = _list_columns(settings)
        if not present:
            columns = ", ".join(f"{quote_name(name)} {kind}" for name, kind in wanted.items())
            execute(connection, f"CREATE TABLE {table.sql} ({columns})")
            _create_run_index(connection, table, settings)
            return
        for name in wanted.keys() - present.keys():
            _add_column(connection, table, name, wanted[name])


def _lacks(
    connection: Connection, table: TableName, settings: TableSettings, register: Register
) -> bool:
    present = find_columns(connection, table)
    kind = _find_kind(connection, table)
    if kind is not None and kind not in _TABLE_KINDS:
        raise DestinationError(
            "There is a view, or something else that is not a table",
            where=f"at {table}",
            hint="Name another table.",
        )
    if present and settings.layout == "raw":
        _check_record_column(table, settings, present)
    own = (register.runs, register.stages)
    if not all(find_columns(connection, one) for one in own):
        return True
    return bool(_list_columns(settings).keys() - present.keys())


def _list_columns(settings: TableSettings) -> dict[str, str]:
    record = {settings.record_column: "jsonb"} if settings.layout == "raw" else {}
    return {**record, **settings.technical_columns()}


def _check_record_column(
    table: TableName, settings: TableSettings, present: dict[str, str]
) -> None:
    if present.get(settings.record_column) != "jsonb":
        found = present.get(settings.record_column, "missing")
        raise DestinationError(
            f"Column {settings.record_column!r} of layout raw must be jsonb, and it is {found}",
            where=f"at {table}",
            hint="Name the column with record_column, write layout: columns, or choose another table.",
        )


def _create_schema(connection: Connection, schema: str) -> None:
    # IF NOT EXISTS asks for the right to create schemas even where the schema exists.
    found = execute(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,))
    if found.fetchone() is None:
        execute(connection, f"CREATE SCHEMA {quote_name(schema)}")


def _create_own(connection: Connection, table: TableName, columns: str) -> None:
    if not find_columns(connection, table):
        execute(connection, f"CREATE TABLE {table.sql} ({columns})")


def _create_run_index(connection: Connection, table: TableName, settings: TableSettings) -> None:
    """A block range index: rows of a run lie together, and a B-tree would make COPY a quarter slower."""
    name = _index_name("run", table, ())
    columns = f"{settings.sql('run_id')}, {settings.sql('map_index')}"
    execute(
        connection,
        f"CREATE INDEX {quote_name(name)} ON {table.sql} USING brin ({columns}) "
        "WITH (pages_per_range = 32, autosummarize = on)",
    )


def _add_column(connection: Connection, table: TableName, name: str, kind: str) -> None:
    if kind.endswith(IDENTITY) and _find_kind(connection, table) == "p":
        # PostgreSQL adds no identity column to a table that has partitions.
        numbers = TableName(table.schema, _index_name("rows", table, (name,)))
        execute(connection, f"CREATE SEQUENCE {numbers.sql}")
        kind = f"bigint DEFAULT nextval({quote_text(numbers.sql)})"
    execute(connection, f"ALTER TABLE {table.sql} ADD COLUMN {quote_name(name)} {kind}")


def _find_kind(connection: Connection, table: TableName) -> str | None:
    found = execute(connection, _FIND_KIND, (table.regclass,)).fetchone()
    return None if found is None else str(found[0])


def change_columns(connection: Connection, table: TableName, columns: Sequence[Column]) -> None:
    """Adds the columns that are new, and widens those that must hold other values from now on."""
    for column in columns:
        name = quote_name(column.name)
        if column.is_new:
            _add_column(connection, table, column.name, column.type)
        elif column.using is not None:
            execute(
                connection,
                f"ALTER TABLE {table.sql} ALTER COLUMN {name} TYPE {column.type} "
                f"USING {column.using.format(name)}",
            )
            _log.warning(
                "Column %s of %s is of type %s from now on: values of another type came",
                *(column.name, table, column.type),
            )


def create_key_index(
    connection: Connection, table: TableName, columns: Sequence[str] | None, terms: Sequence[str]
) -> None:
    """Creates the unique index on the key ``terms``, unless there is one on the plain ``columns`` that they are."""
    name = _index_name("key", table, terms)
    if execute(connection, _FIND_INDEX, (table.regclass, name)).fetchone() is not None:
        return
    if columns is not None:
        found = execute(connection, _FIND_UNIQUE, (table.regclass, list(columns), list(columns)))
        if found.fetchone() is not None:
            return
    index = f"CREATE UNIQUE INDEX {quote_name(name)} ON {table.sql} ({', '.join(terms)})"
    execute(connection, index)


def has_key_index(
    connection: Connection, table: TableName, columns: Sequence[str] | None, terms: Sequence[str]
) -> bool:
    """Returns whether the index of ``create_key_index`` is there."""
    name = _index_name("key", table, terms)
    if execute(connection, _FIND_INDEX, (table.regclass, name)).fetchone() is not None:
        return True
    parameters = (table.regclass, list(columns or ()), list(columns or ()))
    return bool(columns) and execute(connection, _FIND_UNIQUE, parameters).fetchone() is not None


def _index_name(purpose: str, table: TableName, terms: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join([table.name, *terms]).encode()).hexdigest()[:12]
    return f"_oauth_taskflow_{purpose}_{digest}"
