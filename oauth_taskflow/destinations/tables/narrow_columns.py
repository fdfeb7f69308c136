"""Columns of a Delta table that another tool made: small numbers, for which its library rounds doubles and raises nothing, and maps.

No record has a map: a run without a value for such a column leaves it null, and another one fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa

from oauth_taskflow.errors import DestinationError


class ExactBatches:
    """Yields ``batches`` of ``schema`` for a table with the schema ``table``, up to one that the table would change.

    ``refused`` is then the error: a library that reads the batches hides it behind one of its own. The attribute ``schema`` is that of
    the batches, which has the maps of the table.
    """

    def __init__(
        self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, table: pa.Schema, uri: str
    ) -> None:
        self._batches, self._uri = batches, uri
        there = {field.name: field.type for field in table}
        narrow = {one.name: _narrow(one.type, there.get(one.name, one.type)) for one in schema}
        self._narrow = {
            one.name: narrow[one.name] for one in schema if narrow[one.name] != one.type
        }
        self.schema = adopt_maps(schema, table)
        self._maps = [one for one in self.schema if _has_map(one.type)]
        self.refused: DestinationError | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yields the batches.

        Raises:
            DestinationError: a column of the table would round a number, or cannot hold it.
        """
        for batch in self._batches:
            for name, kind in self._narrow.items():
                if not _is_kept(batch.column(name), kind):
                    self.refused = _narrow_error(name, self._uri)
                    raise self.refused
            yield self._with_maps(batch)

    def _with_maps(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for one in self._maps:  # null in every record: refuse_maps has looked
            place = self.schema.get_field_index(one.name)
            batch = batch.set_column(place, one, pa.nulls(batch.num_rows, one.type))
        return batch


def refuse_maps(table: pa.Schema, fields: Collection[str], uri: str) -> None:
    """Makes sure that no column of maps is among ``fields``, those of which the run has values.

    Raises:
        DestinationError: one is.
    """
    for column in table:
        if column.name in fields and _has_map(column.type):
            within = "" if pa.types.is_map(column.type) else " within its values"
            raise DestinationError(
                f"Column {column.name!r} of the table has maps{within}, which no record has; nothing was written",
                where=f"at {uri}",
                hint="Rename the field (fields: move), drop it, or write to a new table.",
            )


def adopt_maps(schema: pa.Schema, table: pa.Schema) -> pa.Schema:
    """Returns ``schema`` with the types of ``table`` for the columns that hold maps there, at any depth."""
    maps = {one.name: one.type for one in table if _has_map(one.type)}
    return pa.schema([one.with_type(maps.get(one.name, one.type)) for one in schema])


def _has_map(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return True
    return any(_has_map(kind.field(place).type) for place in range(kind.num_fields))


def _is_kept(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        return bool(values.cast(kind).cast(values.type).equals(values))
    except pa.ArrowInvalid:
        return False


def _narrow_error(name: str, uri: str) -> DestinationError:
    return DestinationError(
        f"Column {name!r} of the table has small numbers and would round or cut a value; nothing was written",
        where=f"at {uri}",
        hint="Make it a column of double or long, or cast the field (fields: cast).",
    )


def _narrow(kind: pa.DataType, there: pa.DataType) -> pa.DataType:
    """``kind`` with the smaller numbers of the type of the table, ``there``, where it has them."""
    if pa.types.is_float64(kind) and pa.types.is_float32(there):
        return there
    if pa.types.is_int64(kind) and pa.types.is_integer(there):
        return there
    if pa.types.is_list(kind) and (pa.types.is_list(there) or pa.types.is_large_list(there)):
        item = kind.value_field
        return pa.list_(item.with_type(_narrow(item.type, there.value_type)))
    if pa.types.is_struct(kind) and pa.types.is_struct(there):
        known = {field.name: field.type for field in there}
        return pa.struct(
            [one.with_type(_narrow(one.type, known.get(one.name, one.type))) for one in kind]
        )
    return kind
