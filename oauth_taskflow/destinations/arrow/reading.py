"""Turns tables into records again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.destinations.arrow import dates
from oauth_taskflow.destinations.arrow.types import to_record_schema
from oauth_taskflow.record_schema.model import FieldType


def take_rows(batches: Iterable[pa.RecordBatch], skip: int, take: int) -> Iterator[pa.RecordBatch]:
    """Yields ``take`` rows after the first ``skip``; asks for no batch after the last of them."""
    for batch in batches:
        rows = batch.slice(skip, take)
        skip = max(0, skip - batch.num_rows)
        take -= rows.num_rows
        yield rows
        if take <= 0:
            return


def read_records(table: pa.Table | pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yields the records of a table as Python values, as JSON Lines of the same records gives them.

    Three things differ: a field that was absent is there and null, a timestamp is written in UTC, and a number of a
    column with fractions is a ``float``.
    """
    schema = to_record_schema(table.schema)
    names = list(schema.fields)
    for batch in table.to_batches() if isinstance(table, pa.Table) else [table]:
        columns = [
            read_values(batch.column(place), kind)
            for place, kind in enumerate(schema.fields.values())
        ]
        if not columns:
            yield from ({} for _ in range(batch.num_rows))
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def read_values(array: pa.Array, field_type: FieldType) -> list[Any]:
    """Returns the values of a column as Python values."""
    kind = field_type.kind
    if kind == "list":
        return _read_lists(array, field_type)
    if kind == "object" and pa.types.is_struct(array.type):
        return _read_objects(array, field_type)
    if kind in {"json", "object"}:
        return _read_texts(array, decode)
    if kind in {"decimal", "fixed"}:
        return _read_texts(array, _read_decimal)
    if pa.types.is_timestamp(array.type):
        return _read_plain(dates.from_timestamps(array))
    return _read_plain(dates.from_dates(array) if pa.types.is_date(array.type) else array)


def _read_plain(array: pa.Array) -> list[Any]:
    values: list[Any] = array.to_pylist()
    return values


def _read_texts(array: pa.Array, read: Callable[[str], Any]) -> list[Any]:
    return [None if text is None else read(str(text)) for text in array.to_pylist()]


def _read_decimal(text: str) -> Any:
    try:
        return decode(text)
    except ValueError:  # a declared decimal that the API wrote as a text, such as +1 or .5
        return text


def _read_objects(array: pa.Array, field_type: FieldType) -> list[Any]:
    names = list(field_type.fields)
    columns = [read_values(array.field(name), below) for name, below in field_type.fields.items()]
    is_there = array.is_valid().to_pylist()
    rows = zip(*columns, strict=True) if columns else iter(() for _ in is_there)
    return [
        dict(zip(names, values, strict=True)) if valid else None
        for valid, values in zip(is_there, rows, strict=True)
    ]


def _read_lists(array: pa.Array, field_type: FieldType) -> list[Any]:
    if field_type.item is None:
        return _read_plain(array)
    values = read_values(array.flatten(), field_type.item)
    found: list[Any] = []
    place = 0
    for length in pa.compute.list_value_length(array).to_pylist():
        found.append(None if length is None else values[place : place + length])
        place += length or 0
    return found
