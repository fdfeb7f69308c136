"""Which column of a warehouse holds which field: names as dlt normalises them, and types that lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import msgspec
from msgspec.structs import replace

from oauth_taskflow.destinations.tables.technical_columns import TechnicalColumns
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import (
    FieldType,
    Kind,
    RecordSchema,
    name_kind,
    read_fixed,
)

# Kind of a field -> data type of dlt (https://dlthub.com/docs/general-usage/schema#data-types).
DLT_TYPES: Mapping[str, str] = {
    "boolean": "bool",
    "integer": "bigint",
    "number": "double",
    "decimal": "text",
    "fixed": "decimal",
    "text": "text",
    "date": "date",
    "timestamp": "timestamp",
    "json": "json",
}
# Data types of RowColumns.all_names.
TECHNICAL_TYPES = ("text", "text", "text", "bigint", "bigint")
_KINDS = {t: kind for kind, t in DLT_TYPES.items() if kind not in {"decimal", "fixed"}}
_KINDS |= {"decimal": "decimal", "wei": "decimal"}
# Kinds that a warehouse may keep as a text, so that only our own notes distinguish them from one.
_NOTED = frozenset({"decimal", "json"})
# Drivers replace %s in statements, so a column cannot have it in its name.
_FORBIDDEN = "%"


def find_data_type(kind: FieldType) -> str:
    """Returns dlt's type of a field's column, a decimal with its digits: ``decimal(12, 2)``."""
    return name_kind(kind) if kind.kind == "fixed" else DLT_TYPES[kind.kind]


class NotedColumn(msgspec.Struct, frozen=True, array_like=True):
    """The note of a run about one of its columns: the column, the field in it, and the kind of the field (``model.name_kind``)."""

    column: str
    field: str
    kind: str

    @property
    def type(self) -> FieldType:
        """The type of the field."""
        return replace(read_fixed(self.kind) or FieldType(cast("Kind", self.kind)), nullable=True)


def name_columns(
    fields: Iterable[str], normalize: Callable[[str], str], uri: str
) -> dict[str, str]:
    """Returns the column of each field.

    Raises:
        DestinationError: a field has no column, or two have the same.
    """
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for field in fields:
        column = normalize(field) if field.strip() else ""
        if not column or set(_FORBIDDEN) & set(column):
            raise DestinationError(
                f"A field is called {field[:100]!r}, which is not a name for a column",
                where=f"at {uri}",
                hint="Rename the fields: fields: {names: snake_case}.",
            )
        other = owners.setdefault(column.lower(), field)
        if other != field:
            raise DestinationError(
                f"The fields {other[:100]!r} and {field[:100]!r} would have one column, {column!r}",
                where=f"at {uri}",
                hint="Rename one of them (fields: move), drop it, or choose another naming of the destination.",
            )
        found[field] = column
    return found


def read_present(
    columns: Mapping[str, str],
    noted: Iterable[NotedColumn],
    records: RecordSchema,
    listed_name: Callable[[str], str],
) -> RecordSchema:
    """Returns the fields that a table has.

    Args:
        columns: dlt's types of the columns, as ``find_data_type`` has them, by their names as the warehouse lists them.
        noted: what runs have noted about them. A column without a note, of an attempt that was cut off or of another tool,
            is that of the record's field with its name.
        records: the fields of the records that are to be written.
        listed_name: a field or column -> the name of its column as the warehouse lists it.
    """
    notes = {listed_name(note.column): note for note in noted}
    wanted = {listed_name(field): (field, kind.kind) for field, kind in records.fields.items()}
    found = {}
    for name, data_type in columns.items():
        note = notes.get(name)
        field, kind = (note.field, note.kind) if note else wanted.get(name, (name, ""))
        found[field] = _find_type(data_type, kind)
    return RecordSchema(found)


def _find_type(data_type: str, noted: str) -> FieldType:
    if (fixed := read_fixed(data_type)) is not None:
        return replace(fixed, nullable=True)
    kind = _KINDS.get(data_type, "text")
    if noted in _NOTED and kind in {"text", "json", "decimal"}:
        kind = noted
    return FieldType(cast("Kind", kind), nullable=True, wide=kind == "integer")


class RowColumns(TechnicalColumns):
    """The technical columns with one more: the number of a row in its run, from 0, by which rows are read in order."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.row = f"{prefix}row"

    @property
    def all_names(self) -> tuple[str, ...]:
        """All names, in their order."""
        return (*self.names, self.row)

    def check_fields(self, records: RecordSchema, uri: str) -> None:
        """Checks that no field of the records has such a name.

        Raises:
            DestinationError: one has.
        """
        self.check(records, uri)
        if self.row in records.fields:
            raise DestinationError(
                f"Records have a field {self.row!r}, which is a technical column of the table",
                where=f"at {uri}",
                hint="Rename the field (fields: move), or set column_prefix of the destination.",
            )
