"""The staging table of one attempt, and the statements that take its rows over.

Its columns have their own names (``oauth_taskflow_0`` …), so a statement needs no dialect to distinguish them from the table's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.dates import is_empty_date
from oauth_taskflow.destinations.arrow.types import to_arrow_schema
from oauth_taskflow.destinations.tables.base import Commit
from oauth_taskflow.destinations.tables.dlt_columns import (
    TECHNICAL_TYPES,
    NotedColumn,
    RowColumns,
    find_data_type,
)
from oauth_taskflow.destinations.tables.dlt_session import DltSession
from oauth_taskflow.destinations.tables.merging import PLACE, RANK, check_keys
from oauth_taskflow.destinations.tables.row_order import RowOrder
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema, name_kind

# PostgreSQL's COPY of CSV files is an order of magnitude faster than the INSERT statements that dlt writes by default.
_FORMATS = {"postgres": "csv"}
_MARK = "x"
_PLACE = "oauth_taskflow_place"
_THEIRS = "oauth_taskflow_theirs"
# Values in one statement: drivers and warehouses take some thousands.
_VALUES = 500


def stage_name(attempt: str) -> str:
    """Returns the name of the staging table of an attempt."""
    return f"_oauth_taskflow_{attempt}"


class Order(NamedTuple):
    """The field by which the newest record of a key is found, and its column in the table.

    ``ranks`` gives its values as they are compared, where they are not in the order of time as they are.
    """

    field: str
    column: str
    ranks: RowOrder | None = None


class Stage:
    """The staging table of ``attempt``; ``columns`` of the target by technical name and field, ``fields`` with their types."""

    def __init__(
        self,
        session: DltSession,
        attempt: str,
        technical: RowColumns,
        columns: Mapping[str, str],
        fields: RecordSchema,
    ) -> None:
        self.attempt = attempt
        self._session, self._technical = session, technical
        self._columns, self._fields = columns, fields
        self._name = session.normalize(stage_name(attempt))
        self._own = {name: f"oauth_taskflow_{number}" for number, name in enumerate(columns)}
        self._types = dict(zip(self._own.values(), self._list_types(), strict=True))
        self._has_rows = False
        # dlt lets COPY read an empty text as null, quoted or not. So texts in CSV files have a letter before them.
        self._is_marked = False

    @property
    def notes(self) -> list[NotedColumn]:
        """The columns of the run's fields."""
        return [
            NotedColumn(self._columns[name], name, name_kind(kind))
            for name, kind in self._fields.fields.items()
        ]

    def load(
        self, target: str, commit: Commit, file_format: str, index: pa.Table | None = None
    ) -> None:
        """Creates the table like ``target``, and lets dlt fill it, with the rows of ``index`` alone if it is given.

        Raises:
            DestinationError: not all rows have arrived.
        """
        session = self._session
        quote = session.quote
        copied = ", ".join(
            f"{quote(self._columns[n])} AS {quote(own)}" for n, own in self._own.items()
        )
        session.execute(f"CREATE TABLE {self._quoted} AS SELECT {copied} FROM {target} WHERE 1 = 0")  # noqa: S608
        chosen = file_format or _FORMATS.get(session.warehouse.kind, "")
        self._is_marked = chosen == "csv"
        expected = commit.rows.rows if index is None else index.num_rows
        session.load(self._name, self._types, self._batches(commit, index), chosen)
        ((count,),) = session.execute(f"SELECT COUNT(*) FROM {self._quoted}")  # noqa: S608
        if count != expected:
            raise DestinationError(
                f"dlt loaded {count} of {expected} rows",
                where=f"at {target}",
                hint="Run the task again.",
            )
        self._has_rows = True

    def append(self, target: str) -> None:
        """Adds all rows to the table."""
        if self._has_rows:
            self._session.execute(f"{self._insert(target)} FROM {self._quoted}")

    def merge(self, target: str, keys: Sequence[str], order: Order | None, uri: str) -> None:
        """Replaces rows of the same key unless they are newer, and adds the others; rows without ``order`` are the oldest.

        Raises:
            DestinationError: a record has no key.
        """
        if not self._has_rows:
            return
        check_keys(keys, self._fields, uri)
        self._check_values(keys, uri)
        quote = self._session.quote
        mine = {name: self._value(name) for name in self._own}
        same = self._match(keys)
        newer = latest = ""
        if order is not None and order.field in mine:
            value, theirs = mine[order.field], quote(order.column)
            newer = f" AND ({theirs} IS NULL OR {value} >= {theirs})"
            latest = f"CASE WHEN {value} IS NULL THEN 1 ELSE 0 END, {value} DESC, "
        elif order is not None:
            self._drop_undated(target, keys, order)
        found = f"SELECT 1 FROM {self._quoted} WHERE {same}{newer}"  # noqa: S608 - names are quoted
        self._session.execute(f"DELETE FROM {target} WHERE EXISTS ({found})")  # noqa: S608 - as above
        own = ", ".join(quote(own) for own in self._own.values())
        key = ", ".join(mine[key] for key in keys)
        number = f"ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {latest}{mine[self._technical.row]} DESC)"
        numbered = f"SELECT {own}, {number} AS {_PLACE} FROM {self._quoted}"  # noqa: S608 - as above
        newer_left = f"SELECT 1 FROM {target} WHERE {same}"  # noqa: S608 - as above
        self._session.execute(
            f"{self._insert(target)} FROM ({numbered}) AS numbered WHERE {_PLACE} = 1 AND NOT EXISTS ({newer_left})"
        )

    def drop_older(self, target: str, keys: Sequence[str], order: Order, index: pa.Table) -> None:
        """Removes rows that are older than those in the table; ``index`` has the rank of each, as ``merging.index_rows`` gives it."""
        quote = self._session.quote
        row, theirs = self._value(self._technical.row), quote(order.column)
        found = self._session.execute(
            f"SELECT {row}, {theirs} FROM {self._quoted} JOIN {target} ON {self._match(keys)} WHERE {theirs} IS NOT NULL"  # noqa: S608 - names are quoted
        )
        if not found or order.ranks is None:
            return
        places, values = zip(*found, strict=True)
        kind = to_arrow_schema(self._fields).field(order.field).type
        rows = pa.table(
            [pa.array(places, pa.int64()), order.ranks.rank(pa.array(values, kind))],
            [PLACE, _THEIRS],
        )
        both = rows.join(index.select([PLACE, RANK]), PLACE, join_type="inner", use_threads=False)
        is_newer = pc.fill_null(
            pc.greater_equal(both[RANK], both[_THEIRS]), pc.is_null(both[_THEIRS])
        )
        self._drop_rows(both.filter(pc.invert(is_newer))[PLACE].to_pylist())

    def _drop_undated(self, target: str, keys: Sequence[str], order: Order) -> None:
        """Removes rows, none of which has ``order``, that are older than those in the table: these have it."""
        row, theirs = self._value(self._technical.row), self._session.quote(order.column)
        found = self._session.execute(
            f"SELECT {row}, {theirs} FROM {self._quoted} JOIN {target} ON {self._match(keys)} WHERE {theirs} IS NOT NULL"  # noqa: S608 - names are quoted
        )
        self._drop_rows([number for number, value in found if not is_empty_date(value)])

    def _drop_rows(self, numbers: Sequence[int]) -> None:
        row = self._value(self._technical.row)
        for start in range(0, len(numbers), _VALUES):
            some = numbers[start : start + _VALUES]
            marks = ", ".join(["%s"] * len(some))
            self._session.execute(f"DELETE FROM {self._quoted} WHERE {row} IN ({marks})", *some)  # noqa: S608 - names are quoted

    def _match(self, keys: Sequence[str]) -> str:
        """Returns the condition that a row has the key of one in the table."""
        quote = self._session.quote
        return " AND ".join(f"{self._value(key)} = {quote(self._columns[key])}" for key in keys)

    def _check_values(self, keys: Sequence[str], uri: str) -> None:
        counts = ", ".join(f"COUNT({self._session.quote(self._own[key])})" for key in keys)
        query = f"SELECT COUNT(*), {counts} FROM {self._quoted}"  # noqa: S608 - names are quoted
        ((count, *present),) = self._session.execute(query)
        for key, found in zip(keys, present, strict=True):
            if found < count:
                raise DestinationError(
                    f"{count - found} of {count} records have no {key[:100]!r}, a field of the primary key; nothing was written",
                    where=f"at {uri}",
                    hint="Drop such records (records: …), or use mode: replace_run.",
                )

    @property
    def _quoted(self) -> str:
        return self._session.quote_table(self._name)

    def _insert(self, target: str) -> str:
        quote = self._session.quote
        theirs = ", ".join(quote(column) for column in self._columns.values())
        return f"INSERT INTO {target} ({theirs}) SELECT {', '.join(map(self._value, self._own))}"

    def _list_types(self) -> tuple[str, ...]:
        kinds = map(find_data_type, self._fields.fields.values())
        return (*TECHNICAL_TYPES, *kinds)

    def _value(self, name: str) -> str:
        """Returns the expression of a value in the staging table, from the name of its field."""
        own = self._own[name]
        quoted = self._session.quote(own)
        return f"SUBSTR({quoted}, 2)" if self._is_marked and self._types[own] == "text" else quoted

    def _batches(self, commit: Commit, index: pa.Table | None) -> Iterator[pa.RecordBatch]:
        schema = self._technical.extend_schema(to_arrow_schema(self._fields))
        rows = commit.rows.read_batches(self._fields)
        names = list(self._own.values())
        row_place = list(self._own).index(self._technical.row)
        number = 0
        for batch in self._technical.extend(rows, commit.place, schema):
            numbers = pa.array(range(number, number + batch.num_rows), pa.int64())
            number += batch.num_rows
            columns = [*batch.columns]
            columns.insert(row_place, numbers)
            if self._is_marked:
                columns = [self._mark(name, c) for name, c in zip(names, columns, strict=True)]
            written = pa.RecordBatch.from_arrays(columns, names)
            if index is not None:
                written = written.filter(pc.is_in(numbers, index[PLACE].combine_chunks()))
            yield written

    def _mark(self, name: str, values: pa.Array) -> pa.Array:
        is_text = self._types[name] == "text"
        return pc.binary_join_element_wise(_MARK, values, "") if is_text else values
