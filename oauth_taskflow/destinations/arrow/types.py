"""Translates a record schema into an Arrow schema and back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from oauth_taskflow.record_schema.model import JSON, FieldType, RecordSchema

TIMESTAMP = pa.timestamp("us", tz="UTC")
# The field type in the metadata of a column: a text may hold digits or JSON.
_METADATA_KEY = b"oauth_taskflow.type"
_PLAIN = {
    "null": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.string(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "json": pa.string(),
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FieldType).decode


def to_arrow_schema(schema: RecordSchema) -> pa.Schema:
    """Returns the Arrow schema of tables with these records: every column may be null, and Parquet takes all of them."""
    return pa.schema([to_arrow_field(name, kind) for name, kind in schema.fields.items()])


def to_arrow_field(name: str, field_type: FieldType) -> pa.Field:
    """Returns one column, with its field type in the metadata."""
    return pa.field(
        name, to_arrow_type(field_type), metadata={_METADATA_KEY: _encode(to_form(field_type))}
    )


def to_arrow_type(field_type: FieldType) -> pa.DataType:
    """Returns the Arrow type in which values of a field are kept."""
    if field_type.kind == "list":
        item = field_type.item
        return pa.list_(pa.string() if item is None else to_arrow_type(item))
    if field_type.kind == "object":
        if not field_type.fields:
            return pa.string()
        fields = [(name, to_arrow_type(below)) for name, below in field_type.fields.items()]
        return pa.struct(fields)
    if field_type.kind == "fixed":
        return pa.decimal128(field_type.precision, field_type.scale)
    return _PLAIN[field_type.kind]


def to_record_schema(schema: pa.Schema) -> RecordSchema:
    """Returns the record schema of a table: as it was written here, or as near as the Arrow types of others come.

    A column that was written here gives the form alone, without ``nullable`` and ``wide``.
    """
    return RecordSchema({field.name: _find_type(field) for field in schema})


def _find_type(field: pa.Field) -> FieldType:
    written = (field.metadata or {}).get(_METADATA_KEY)
    return _translate(field.type) if written is None else _decode(written)


_FOREIGN = (
    (pa.types.is_null, "null"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
)


def _translate(found: pa.DataType) -> FieldType:
    if pa.types.is_decimal128(found) and 0 <= found.scale <= found.precision:
        return FieldType("fixed", nullable=True, precision=found.precision, scale=found.scale)
    for is_kind, kind in _FOREIGN:
        if is_kind(found):
            return FieldType(kind, nullable=True, wide=kind == "integer")  # type: ignore[arg-type]  # a Kind
    if pa.types.is_struct(found):
        fields = {field.name: _translate(field.type) for field in found}
        return FieldType("object", nullable=True, fields=fields)
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return FieldType("list", nullable=True, item=_translate(found.value_type))
    return FieldType("text", nullable=True)


def to_form(field_type: FieldType) -> FieldType:
    """Returns a field type reduced to its form: two types with one form are kept, and read, in the same way."""
    if field_type.kind == "list":
        item = field_type.item
        return FieldType("list", item=FieldType("text") if item is None else to_form(item))
    if field_type.kind == "object":
        fields = {name: to_form(below) for name, below in field_type.fields.items()}
        return FieldType("object", fields=fields)
    if field_type.kind == "fixed":
        return replace(field_type, nullable=False)
    return FieldType("text") if field_type.kind == "null" else FieldType(field_type.kind)


def have_one_form(first: RecordSchema, second: RecordSchema) -> bool:
    """Returns whether tables of both schemas have the same columns, and values that are written alike."""
    if list(first.fields) != list(second.fields):
        return False
    pairs = zip(first.fields.values(), second.fields.values(), strict=True)
    return all(mine is other or _is_one_form(mine, other) for mine, other in pairs)


def _is_one_form(first: FieldType, second: FieldType) -> bool:
    mine, other = to_form(first), to_form(second)
    return mine == other and to_arrow_type(mine) == to_arrow_type(other)


def is_one_schema(first: RecordSchema, second: RecordSchema) -> bool:
    """Returns whether two schemas differ at most in what may be absent."""
    return list(first.fields) == list(second.fields) and all(
        _without_nullable(mine) == _without_nullable(other)
        for mine, other in zip(first.fields.values(), second.fields.values(), strict=True)
    )


def _without_nullable(field_type: FieldType) -> FieldType:
    item = None if field_type.item is None else _without_nullable(field_type.item)
    fields = {name: _without_nullable(below) for name, below in field_type.fields.items()}
    return replace(field_type, nullable=False, item=item, fields=fields)


def holds_texts(field_type: FieldType, kinds: Iterable[str] = ("json", "decimal")) -> bool:
    """Returns whether a field, or one within it, is kept as a text although it may be another value in JSON."""
    if field_type.kind == "list":
        return field_type.item is not None and holds_texts(field_type.item, kinds)
    if field_type.kind == "object":
        return any(holds_texts(below, kinds) for below in field_type.fields.values())
    return field_type.kind in kinds


def make_nullable(field_type: FieldType) -> FieldType:
    """Returns the type of the same field where it may be absent."""
    return field_type if field_type.nullable else replace(field_type, nullable=True)


__all__ = [
    "JSON",
    "TIMESTAMP",
    "have_one_form",
    "holds_texts",
    "is_one_schema",
    "make_nullable",
    "to_arrow_field",
    "to_arrow_schema",
    "to_arrow_type",
    "to_form",
    "to_record_schema",
]
