"""Brings columns to the type of a wider schema, without rounding a value."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.destinations.arrow import dates
from oauth_taskflow.destinations.arrow.exact_values import write_decimal
from oauth_taskflow.destinations.arrow.reading import read_values
from oauth_taskflow.destinations.arrow.types import to_arrow_schema, to_arrow_type, to_record_schema
from oauth_taskflow.record_schema.model import NULL, FieldType, RecordSchema


def widen_table(
    table: pa.Table, schema: RecordSchema, known: RecordSchema | None = None
) -> pa.Table:
    """Returns the same records with the columns of ``schema``, in its order; a column that is new is null.

    ``schema`` is a union with that of the table, which is ``known`` or else read from its metadata. Columns of ``table``
    that it lacks are dropped.
    """
    old = (to_record_schema(table.schema) if known is None else known).fields
    target = to_arrow_schema(schema)
    columns = []
    for name, new in schema.fields.items():
        if name not in old:
            columns.append(pa.nulls(table.num_rows, target.field(name).type))
            continue
        chunks = [widen_array(chunk, old[name], new) for chunk in table.column(name).chunks]
        columns.append(pa.chunked_array(chunks, target.field(name).type))
    if not columns:
        return table.select([])
    return pa.Table.from_arrays(columns, schema=target)


def widen_array(array: pa.Array, old: FieldType, new: FieldType) -> pa.Array:
    """Returns the values of a column of type ``old`` in the Arrow type of ``new``.

    ``array`` may still be as pyarrow's reader of JSON made it: nulls without a type, objects without fields, dates as text.

    Raises:
        ArrowInvalid: a text is not the timestamp or date that ``old`` says.
    """
    if array.null_count == len(array):  # of a column without values the type says nothing
        return pa.nulls(len(array), to_arrow_type(new))
    if old.kind == new.kind:
        return _widen_same_kind(array, old, new)
    if new.kind == "number":
        return array.cast(pa.float64())
    if new.kind == "decimal":
        return _to_decimals(array)
    if new.kind == "text":
        return _to_texts(array)
    return _to_json(array, old)


def _widen_same_kind(array: pa.Array, old: FieldType, new: FieldType) -> pa.Array:
    if new.kind == "list":
        return _widen_list(array, old, new)
    if new.kind == "object":
        return _widen_object(array, old, new)
    if pa.types.is_string(array.type) and new.kind == "timestamp":
        return dates.to_timestamps(array)
    if pa.types.is_string(array.type) and new.kind == "date":
        return dates.to_dates(array)
    if new.kind == "fixed":
        return array.cast(to_arrow_type(new))
    return array


def _widen_list(array: pa.Array, old: FieldType, new: FieldType) -> pa.Array:
    target = to_arrow_type(new)
    if array.type == target and old.item == new.item:
        return array
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    values = widen_array(array.flatten(), old.item or NULL, new.item or NULL)
    mask = pc.is_null(array) if array.null_count else None
    return pa.ListArray.from_arrays(offsets, values, type=target, mask=mask)


def _widen_object(array: pa.Array, old: FieldType, new: FieldType) -> pa.Array:
    if pa.types.is_string(array.type) and not new.fields:
        return array
    if not new.fields:
        return pc.if_else(pc.is_null(array), pa.scalar(None, pa.string()), "{}")
    target = to_arrow_type(new)
    if old.fields == new.fields and array.type == target:
        return array
    children = []
    for name, below in new.fields.items():
        if name in old.fields and pa.types.is_struct(array.type):
            children.append(widen_array(array.field(name), old.fields[name], below))
        else:
            children.append(pa.nulls(len(array), to_arrow_type(below)))
    mask = pc.is_null(array) if array.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(target), mask=mask)


def _to_decimals(array: pa.Array) -> pa.Array:
    if pa.types.is_integer(array.type):
        return array.cast(pa.string())
    values = [None if value is None else write_decimal(value) for value in array.to_pylist()]
    return pa.array(values, pa.string())


def _to_texts(array: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        return dates.from_timestamps(array)
    return dates.from_dates(array) if pa.types.is_date(array.type) else array


def _to_json(array: pa.Array, old: FieldType) -> pa.Array:
    texts = [
        None if value is None else encode(_drop_nulls(value)).decode()
        for value in read_values(array, old)
    ]
    return pa.array(texts, pa.string())


def _drop_nulls(value: Any) -> Any:
    """Returns ``value`` without the null fields of objects: most of them were absent in the record."""
    if isinstance(value, dict):
        return {name: _drop_nulls(one) for name, one in value.items() if one is not None}
    return [_drop_nulls(one) for one in value] if isinstance(value, list) else value
