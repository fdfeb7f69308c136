"""The Arrow schema of a table in a lake: a text that holds digits or JSON says so in the metadata of its own field.

Parquet files of ours keep the whole type with each column. A lake unites the metadata of a column over all runs, so there each
field, nested ones included, has only what never changes. Delta Lake keeps no metadata of the items of a list: there the
field of the list says what they are. Iceberg keeps no metadata of Arrow: there the kinds are in a property of the table, by path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import pyarrow as pa

from oauth_taskflow.destinations.arrow.reading import read_records
from oauth_taskflow.destinations.arrow.types import (
    to_arrow_schema,
    to_arrow_type,
    to_record_schema,
)
from oauth_taskflow.record_schema.model import FieldType, Kind, RecordSchema

_KIND = b"oauth_taskflow.kind"
# Behind the name above: the items of the list, or of the lists in it.
_ITEMS = b"[]"
_KEPT_AS_TEXT = frozenset({"decimal", "json"})
NO_KINDS: Mapping[str, str] = MappingProxyType({})


def to_lake_schema(schema: RecordSchema) -> pa.Schema:
    """Returns the columns of a table with these records; every field may be null."""
    return pa.schema([_to_field(name, kind) for name, kind in schema.fields.items()])


def _to_field(name: str, field_type: FieldType) -> pa.Field:
    key, innermost = _KIND, field_type
    while innermost.kind == "list" and innermost.item is not None:
        key, innermost = key + _ITEMS, innermost.item
    metadata = {key: innermost.kind} if innermost.kind in _KEPT_AS_TEXT else None
    return pa.field(name, _to_type(field_type), metadata=metadata)


def _to_type(field_type: FieldType) -> pa.DataType:
    if field_type.kind == "list" and field_type.item is not None:
        return pa.list_(_to_field("element", field_type.item))
    if field_type.kind == "object" and field_type.fields:
        return pa.struct([_to_field(name, below) for name, below in field_type.fields.items()])
    return to_arrow_type(field_type)


def find_text_kinds(schema: RecordSchema) -> dict[str, str]:
    """Returns the fields that are kept as texts of digits or JSON, by path: ``owner.limit``, ``tags[]``."""
    found: dict[str, str] = {}
    for name, field_type in schema.fields.items():
        _add_text_kinds(found, name, field_type)
    return found


def _add_text_kinds(found: dict[str, str], path: str, field_type: FieldType) -> None:
    if field_type.kind in _KEPT_AS_TEXT:
        found[path] = field_type.kind
    if field_type.item is not None:
        _add_text_kinds(found, f"{path}[]", field_type.item)
    for name, below in field_type.fields.items():
        _add_text_kinds(found, f"{path}.{name}", below)


def from_lake_schema(schema: pa.Schema, kinds: Mapping[str, str] = NO_KINDS) -> RecordSchema:
    """Returns the schema of the records in a table, ours or that of another tool; ``kinds`` are of ``find_text_kinds``."""
    return RecordSchema({field.name: _from_field(field, field.name, kinds) for field in schema})


def _from_field(
    field: pa.Field,
    path: str,
    kinds: Mapping[str, str],
    from_list: Mapping[bytes, bytes] = MappingProxyType({}),
) -> FieldType:
    metadata = {**from_list, **(field.metadata or {})}
    kind = kinds.get(path) or metadata.get(_KIND, b"").decode()
    if kind in _KEPT_AS_TEXT:
        return FieldType(cast("Kind", kind), nullable=True)
    if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
        of_items = {
            _KIND + key.removeprefix(_KIND + _ITEMS): value
            for key, value in metadata.items()
            if key.startswith(_KIND + _ITEMS)
        }
        item = _from_field(field.type.value_field, f"{path}[]", kinds, of_items)
        return FieldType("list", nullable=True, item=item)
    if pa.types.is_struct(field.type):
        fields = {
            below.name: _from_field(below, f"{path}.{below.name}", kinds) for below in field.type
        }
        return FieldType("object", nullable=True, fields=fields)
    plain = pa.schema([pa.field(field.name, field.type)])
    return to_record_schema(plain).fields[field.name]


def read_lake_records(
    table: pa.Table, kinds: Mapping[str, str] = NO_KINDS
) -> Iterator[dict[str, Any]]:
    """Yields the records in rows of a lake as Python values, as ``arrow.reading.read_records`` does for other tables."""
    schema = to_arrow_schema(from_lake_schema(table.schema, kinds))
    columns = [
        # Columns of types that records do not have, such as maps, are null in the rows of a run.
        pa.chunked_array([pa.nulls(len(c), field.type)])
        if c.null_count == len(c)
        else c.cast(field.type)
        for c, field in zip(table.columns, schema, strict=True)
    ]
    return read_records(pa.Table.from_arrays(columns, schema=schema))
