"""The ids by which an Iceberg table finds its columns in a data file.

A file without them is read by the names of its columns. Then a column that was renamed is empty in its rows, and one that was
dropped comes back with its old values, as soon as a later run writes a column of the old name.
"""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, NestedField

_KEY = b"PARQUET:field_id"


def add_field_ids(schema: pa.Schema, table: Schema) -> pa.Schema:
    """Returns ``schema`` with the id of each field, nested ones included; ``table`` has all of them."""
    return pa.schema([_identify(field, table.as_struct()) for field in schema])


def _identify(field: pa.Field, parent: IcebergType) -> pa.Field:
    return _add_id(field, parent.field_by_name(field.name))


def _add_id(field: pa.Field, known: NestedField) -> pa.Field:
    identified = field.with_type(_identify_type(field.type, known.field_type))
    return identified.with_metadata({**(field.metadata or {}), _KEY: str(known.field_id)})


def _identify_type(kind: pa.DataType, known: IcebergType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([_identify(kind.field(place), known) for place in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.list_(_add_id(kind.value_field, known.element_field))
    return kind
