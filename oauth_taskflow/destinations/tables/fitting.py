"""Whether a table that exists can take the records of a run, and the columns that it then has.

A table keeps the types of its columns: libraries of lakes write a value of another type by a cast, which loses digits
without a word. So the types are compared here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping

from oauth_taskflow.destinations.arrow.types import to_arrow_type, to_form
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema, name_kind, unite_fields


def fit_schema(table: RecordSchema, records: RecordSchema, uri: str) -> RecordSchema:
    """Returns the columns of ``table`` and after them the new ones of ``records``.

    Columns without a value are left out: their type is not known yet.

    Raises:
        DestinationError: a column of the table cannot hold the values of the records.
    """
    known = drop_empty(records)
    united = unite_fields(table.fields, known.fields)
    for name, before in table.fields.items():
        if (clash := _find_clash(name, before, united[name])) is not None:
            path, have, need = clash
            raise _clash_error(path, have, need, uri)
    return RecordSchema(united)


def drop_empty(schema: RecordSchema) -> RecordSchema:
    """Returns the schema without the fields that are null in every record, also within objects and lists."""
    fields = {name: _drop_empty(kind) for name, kind in schema.fields.items()}
    return RecordSchema({name: kind for name, kind in fields.items() if kind is not None})


def _drop_empty(field_type: FieldType) -> FieldType | None:
    if field_type.kind == "null":
        return None
    if field_type.kind == "list":
        item = None if field_type.item is None else _drop_empty(field_type.item)
        return None if item is None else FieldType("list", nullable=True, item=item)
    if field_type.kind == "object":
        below = {name: _drop_empty(kind) for name, kind in field_type.fields.items()}
        fields: Mapping[str, FieldType] = {n: kind for n, kind in below.items() if kind is not None}
        return FieldType("object", nullable=True, fields=fields) if fields else None
    return field_type


def _find_clash(
    path: str, before: FieldType, after: FieldType
) -> tuple[str, FieldType, FieldType] | None:
    """Returns the first place where a column would change its type: path, type of the table, type that is needed."""
    if before.kind != after.kind:
        return path, before, after
    if before.kind == "list" and before.item is not None and after.item is not None:
        return _find_clash(f"{path}[]", before.item, after.item)
    if before.kind == "object":
        clashes = (
            _find_clash(f"{path}.{name}", kind, after.fields[name])
            for name, kind in before.fields.items()
        )
        return next((clash for clash in clashes if clash is not None), None)
    same = to_arrow_type(to_form(before)) == to_arrow_type(to_form(after))
    return None if same else (path, before, after)


def _clash_error(path: str, have: FieldType, need: FieldType, uri: str) -> DestinationError:
    return DestinationError(
        f"Column {path[:200]!r} of the table holds {name_kind(have)}, and the records of this run need {name_kind(need)}; nothing was "
        "written",
        where=f"at {uri}",
        hint="Cast the field (fields: cast), let a contract discard such values, or write to a new table.",
    )
