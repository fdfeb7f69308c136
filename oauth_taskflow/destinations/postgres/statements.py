"""The statements that fill the table from a staging table: by adding rows, or by merging them by key."""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oauth_taskflow.destinations.postgres.columns import Column
from oauth_taskflow.destinations.postgres.exact_values import fit_value, read_type
from oauth_taskflow.destinations.postgres.identifiers import (
    MOST_BYTES,
    TableName,
    quote_name,
    quote_text,
)
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.destinations.postgres.staging import DELETED, ORDER, RECORD, ROW

# The parameters of a run, in this order.
RUN_COLUMNS = ("dag_id", "endpoint", "run_id", "map_index")
_RUN_VALUES = ("%s::text", "%s::text", "%s::text", "%s::integer")
_STAGED = f"s.{quote_name(RECORD)}"


class Selection(NamedTuple):
    """A choice from a staging table: the columns of the target, the value of each, and where they come from."""

    targets: Sequence[str]
    values: Sequence[str]
    source: str


def select_record(settings: TableSettings, stage: str) -> Selection:
    """Returns the whole record, for layout ``raw``."""
    return Selection([quote_name(settings.record_column)], [_STAGED], f"{stage} AS s")


def select_columns(columns: Sequence[Column], stage: str) -> Selection:
    """Returns a value for each column, for layout ``columns``."""
    plain = [one for one in columns if _is_plain(one)]
    sources = [f"{stage} AS s"]
    if plain:
        expanded = ", ".join(f"{quote_name(one.field)} {read_type(one.type)}" for one in plain)
        sources.append(f"jsonb_to_record({_STAGED}) AS x({expanded})")
    for number, one in enumerate(columns):
        if not _is_plain(one):
            single = f"jsonb_build_object('v', {_STAGED} -> {quote_text(one.field)})"
            sources.append(f"jsonb_to_record({single}) AS x{number}(v {read_type(one.type)})")
    values = [_read_staged(one, number) for number, one in enumerate(columns)]
    return Selection([quote_name(one.name) for one in columns], values, ", ".join(sources))


def _read_staged(column: Column, number: int) -> str:
    """The value of column ``number`` in the source of ``select_columns``."""
    place = f"x.{quote_name(column.field)}" if _is_plain(column) else f"x{number}.v"
    return fit_value(place, column.type)


def _is_plain(column: Column) -> bool:
    """Whether the name of the field can be that of a column."""
    return len(column.field.encode()) <= MOST_BYTES


def build_key_terms(
    keys: Sequence[Sequence[str]], columns: Mapping[str, str] | None, record: str, alias: str = ""
) -> list[str]:
    """Returns an expression for each part of the key in the table ``alias`` or, without one, as an index has it.

    ``columns`` maps fields to columns in layout ``columns``; otherwise the key is in the column ``record``.
    """
    before = f"{alias}." if alias else ""
    terms = []
    for first, *below in keys:
        if columns is not None and not below:
            terms.append(f"{before}{quote_name(columns[first])}")
            continue
        column = columns[first] if columns is not None else record
        path = below if columns is not None else [first, *below]
        array = ", ".join(quote_text(name) for name in path)
        terms.append(f"({before}{quote_name(column)} #> ARRAY[{array}])")
    return terms


def build_staged_terms(keys: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[str]:
    """Returns an expression for each part of the key in the staging table; ``columns`` are those of layout ``columns``."""
    values = {one.field: _read_staged(one, n) for n, one in enumerate(columns) if _is_plain(one)}
    return [values[key[0]] if len(key) == 1 and key[0] in values else _dig(key) for key in keys]


def _dig(path: Sequence[str]) -> str:
    return f"({_STAGED} #> ARRAY[{', '.join(quote_text(name) for name in path)}])"


def insert_statement(table: TableName, settings: TableSettings, chosen: Selection) -> str:
    """Adds all staged rows; its parameters are those of the run. The scan of one process keeps their order."""
    targets = [*chosen.targets, *(settings.sql(name) for name in RUN_COLUMNS)]
    values = [*chosen.values, *_RUN_VALUES]
    return (
        f"INSERT INTO {table.sql} ({', '.join(targets)}) "
        f"SELECT {', '.join(values)} FROM {chosen.source}"
    )


def differing_statement(table: TableName, settings: TableSettings, chosen: Selection) -> str:
    """Counts the rows in which staged rows and those of the run in the table differ; its parameters are the run's, twice."""
    own = " AND ".join(
        f"{settings.sql(name)} = {value}"
        for name, value in zip(RUN_COLUMNS, _RUN_VALUES, strict=True)
    )
    staged = f"SELECT {', '.join(chosen.values) or '1'} FROM {chosen.source}"
    present = f"SELECT {', '.join(chosen.targets) or '1'} FROM {table.sql} WHERE {own}"
    return (
        f"SELECT (SELECT count(*) FROM ({staged} EXCEPT ALL {present}) a) "
        f"+ (SELECT count(*) FROM ({present} EXCEPT ALL {staged}) b)"
    )


def match_run(settings: TableSettings) -> str:
    """Returns the condition for the rows of a run and task instance; its parameters are those of the run."""
    pairs = zip(RUN_COLUMNS, _RUN_VALUES, strict=True)
    return " AND ".join(f"{settings.sql(name)} = {value}" for name, value in pairs)


class Merge:
    """The statements of mode ``merge``: of staged rows with one key the highest counts, and of equals the last."""

    def __init__(
        self,
        table: TableName,
        settings: TableSettings,
        chosen: Selection,
        keys: Sequence[str],
        staged_keys: Sequence[str],
    ) -> None:
        self._table = table
        self._settings = settings
        self._chosen = chosen
        self._keys = keys
        self._staged_keys = staged_keys

    def _latest(self) -> str:
        """Rows of the staging table, one for each key."""
        keys = [f"k{number}" for number in range(len(self._staged_keys))]
        values = [f"v{number}" for number in range(len(self._chosen.values))]
        fields = [
            *(f"{term} AS {name}" for term, name in zip(self._staged_keys, keys, strict=True)),
            *(f"{term} AS {name}" for term, name in zip(self._chosen.values, values, strict=True)),
            *(f"s.{name}" for name in (ORDER, DELETED, ROW)),
        ]
        order = [*keys, f"{ORDER} DESC NULLS LAST", f"{ROW} DESC"]
        return (
            f"SELECT DISTINCT ON ({', '.join(keys)}) * FROM (SELECT {', '.join(fields)} "
            f"FROM {self._chosen.source}) n ORDER BY {', '.join(order)}"
        )

    def upsert(self) -> str:
        """Updates rows that are there, unless they have a higher order value, and adds the others.

        Its parameters are those of the run. A tombstone keeps the values that a row has.
        """
        named = self._settings.sql
        order, deleted = named("order_value"), named("deleted_at")
        run = [named(name) for name in RUN_COLUMNS]
        targets = [*self._chosen.targets, *run, order, deleted]
        values = [f"v{number}" for number in range(len(self._chosen.values))]
        gone = f"CASE WHEN {DELETED} THEN now() END"
        where = f"WHERE NOT {DELETED} " if self._settings.hard_delete else ""
        kept = [
            f"{name} = CASE WHEN EXCLUDED.{deleted} IS NULL THEN EXCLUDED.{name} ELSE t.{name} END"
            for name in self._chosen.targets
        ]
        number = named("row_number")
        taken = [f"{name} = EXCLUDED.{name}" for name in (*run, order, number)]
        since = f"CASE WHEN EXCLUDED.{deleted} IS NOT NULL THEN coalesce(t.{deleted}, now()) END"
        changes = [*kept, *taken, f"{deleted} = {since}", f"{named('loaded_at')} = now()"]
        return (
            f"INSERT INTO {self._table.sql} AS t ({', '.join(targets)}) "
            f"SELECT {', '.join([*values, *_RUN_VALUES, ORDER, gone])} "
            f"FROM ({self._latest()}) l {where}ORDER BY {ROW} "
            f"ON CONFLICT ({', '.join(self._keys)}) DO UPDATE SET {', '.join(changes)} "
            f"WHERE t.{order} IS NULL OR EXCLUDED.{order} >= t.{order}"
        )

    def count_due(self, own_keys: Sequence[str]) -> str:
        """Counts the rows that ``upsert`` is to add or change; ``own_keys`` are the key's terms of ``t``."""
        order = self._settings.sql("order_value")
        same = " AND ".join(f"{own} = l.k{number}" for number, own in enumerate(own_keys))
        where = f"WHERE NOT l.{DELETED} AND" if self._settings.hard_delete else "WHERE"
        return (
            f"SELECT count(*) FROM ({self._latest()}) l {where} NOT EXISTS (SELECT 1 FROM {self._table.sql} AS t "
            f"WHERE {same} AND NOT coalesce(t.{order} IS NULL OR l.{ORDER} >= t.{order}, false))"
        )

    def delete(self, own_keys: Sequence[str]) -> str:
        """Removes the rows of tombstones, unless they have a higher order value; ``own_keys`` are the key's terms of ``t``."""
        order = self._settings.sql("order_value")
        same = " AND ".join(f"{own} = l.k{number}" for number, own in enumerate(own_keys))
        return (
            f"DELETE FROM {self._table.sql} AS t USING ({self._latest()}) l WHERE l.{DELETED} "
            f"AND {same} AND (t.{order} IS NULL OR l.{ORDER} >= t.{order})"
        )
