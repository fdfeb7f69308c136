"""Columns of 32-bit numbers in a Delta table that somebody else made: its library rounds doubles for them and raises nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from oauth_taskflow.errors import DestinationError


def refuse_rounding(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, table: pa.Schema, uri: str
) -> Iterator[pa.RecordBatch]:
    """Yields ``batches`` of ``schema`` for a table with the schema ``table``.

    Raises:
        DestinationError: a column of the table would round a number.
    """
    there = {field.name: field.type for field in table}
    narrow = {one.name: _narrow(one.type, there.get(one.name, one.type)) for one in schema}
    rounding = {one.name: narrow[one.name] for one in schema if narrow[one.name] != one.type}
    for batch in batches:
        for name, kind in rounding.items():
            values = batch.column(name)
            if not values.cast(kind).cast(values.type).equals(values):
                raise DestinationError(
                    f"Column {name!r} of the table has numbers of 32 bits and would round a value; nothing was written",
                    where=f"at {uri}",
                    hint="Make it a column of double, or round the field yourself (fields: cast).",
                )
        yield batch


def _narrow(kind: pa.DataType, there: pa.DataType) -> pa.DataType:
    """``kind`` with 32-bit numbers where the type of the table, ``there``, has them."""
    if pa.types.is_float64(kind) and pa.types.is_float32(there):
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
