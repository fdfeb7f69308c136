"""Rows of a run that are merged into a table: one row for each primary key, the newest.

Only keys, order and places are in memory; the rows stay on the disk.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.destinations.tables.column_names import plain_column
from oauth_taskflow.destinations.tables.row_order import RowOrder
from oauth_taskflow.destinations.tables.spool import TableSpool
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema

# The columns of an index that hold the number of a row, from 0, and its rank.
PLACE = "oauth_taskflow_place"
RANK = "oauth_taskflow_rank"
_ORDER = "oauth_taskflow_order"
_HAS_ORDER = "oauth_taskflow_has_order"
_WITHOUT_ORDER = frozenset({"object", "list", "json", "decimal"})


class MergeFields(NamedTuple):
    """The fields of the primary key, that of the order of rows, and how records write the order."""

    keys: Sequence[str]
    order: str | None
    order_form: str | tuple[str, ...] | None


class MergePlan(NamedTuple):
    """The columns of the primary key, the order of rows, and the index of the newest row of each key."""

    keys: list[str]
    order: RowOrder | None
    index: pa.Table


def plan_merge(
    rows: TableSpool, records: RecordSchema, fields: MergeFields, uri: str
) -> MergePlan | None:
    """Returns what a run merges into the table with the columns ``records``; None for a run without rows.

    Raises:
        DestinationError: the rows have no key, or a column cannot be compared.
    """
    keys, name = check_merge(fields.keys, fields.order, records, uri)
    if not rows.rows:
        return None
    check_keys(keys, records, uri)
    order = None
    if name is not None and name in records.fields:
        order = RowOrder(name, fields.order_form, uri)
    return MergePlan(keys, order, index_rows(rows.read_batches(records), keys, order, uri))


def check_merge(
    keys: Sequence[str], order: str | None, records: RecordSchema, uri: str
) -> tuple[list[str], str | None]:
    """Returns the columns of the primary key, and that of the order of rows.

    Raises:
        DestinationError: there is no key, or a column cannot be compared.
    """
    if not keys:
        raise _merge_error(
            "mode: merge needs primary_key", uri, "Name the fields: primary_key: id."
        )
    names = [_name_column(key, "primary_key", uri) for key in keys]
    for name in names:
        kind = records.fields.get(name)
        if kind is not None and kind.kind in {"object", "list"}:
            what = f"The field {name[:100]!r} of the primary key holds {kind.kind} values"
            raise _merge_error(what, uri, "Name fields with texts or numbers.")
    if order is None:
        return names, None
    order = _name_column(order, "the incremental field", uri)
    kind = records.fields.get(order)
    if kind is not None and kind.kind in _WITHOUT_ORDER:
        what = f"The incremental field {order[:100]!r} holds {kind.kind} values, which have no order in a table"
        raise _merge_error(what, uri, "Cast the field (fields: cast).")
    return names, order


def check_keys(keys: Sequence[str], records: RecordSchema, uri: str) -> None:
    """Checks that records have the fields of the primary key.

    Raises:
        DestinationError: no record has one of them.
    """
    for name in keys:
        if name not in records.fields:
            what = f"No record has {name[:100]!r}, a field of the primary key; nothing was written"
            raise _merge_error(what, uri, "Name fields that every record has: primary_key.")


def _name_column(path: str, what: str, uri: str) -> str:
    name = plain_column(path)
    if name is None:
        message = f"{path[:100]!r} of {what} is not a column of the table"
        raise _merge_error(message, uri, "Move the field to the top: fields: {move: …}.")
    return name


def index_rows(
    batches: Iterable[pa.RecordBatch], keys: Sequence[str], order: RowOrder | None, uri: str
) -> pa.Table:
    """Returns keys, rank and place of the newest row of each key; of equally new ones the last counts.

    Raises:
        DestinationError: a row has no key, or its order cannot be read.
    """
    rows = _list_rows(batches, keys, order)
    count = rows.num_rows
    for name in keys:
        if missing := rows.column(name).null_count:
            what = f"{missing} of {count} records have no {name[:100]!r}, a field of the primary key; nothing was written"
            raise _merge_error(
                what, uri, "Drop such records (records: …), or use mode: replace_run."
            )
    if order is not None:  # rows without a value are older than any other
        rows = rows.append_column(RANK, order.rank(rows.column(_ORDER).combine_chunks()))
        rows = rows.drop_columns(_ORDER)
        has_order = pc.is_valid(rows.column(RANK))
        by = [(_HAS_ORDER, "ascending"), (RANK, "ascending"), (PLACE, "ascending")]
        rows = rows.take(pc.sort_indices(rows.append_column(_HAS_ORDER, has_order), by))
    newest = rows.group_by(list(keys), use_threads=False).aggregate([(PLACE, "last")])
    places = newest.column(f"{PLACE}_last")
    if len(places) == count:
        return rows
    return rows.filter(pc.is_in(rows.column(PLACE), places.combine_chunks()))


def _list_rows(
    batches: Iterable[pa.RecordBatch], keys: Sequence[str], order: RowOrder | None
) -> pa.Table:
    names = [*keys] if order is None else [*keys, order.name]
    columns_of_index = [*keys] if order is None else [*keys, _ORDER]
    found, count = [], 0
    for batch in batches:
        columns = [batch.column(name) for name in names]
        columns.append(pa.array(range(count, count + batch.num_rows), pa.int64()))
        count += batch.num_rows
        found.append(pa.RecordBatch.from_arrays(columns, [*columns_of_index, PLACE]))
    assert found, "a run without rows has nothing to merge"
    return pa.Table.from_batches(found)


def pick_rows(batches: Iterable[pa.RecordBatch], index: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yields the rows whose places are in ``index``."""
    places = pc.take(index.column(PLACE), pc.sort_indices(index.column(PLACE))).combine_chunks()
    begin = 0
    for batch in batches:
        end = begin + batch.num_rows
        first, last = (bisect_left(places, at, key=_as_number) for at in (begin, end))
        if last > first:
            wanted = pc.subtract(places.slice(first, last - first), begin)
            yield batch.take(wanted) if last - first < batch.num_rows else batch
        begin = end


def _as_number(scalar: pa.Int64Scalar) -> int:
    return int(scalar.as_py())


def _merge_error(message: str, uri: str, hint: str) -> DestinationError:
    return DestinationError(message, where=f"at {uri}", hint=hint)
