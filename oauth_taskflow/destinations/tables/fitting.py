"""Whether a table that exists can take the records of a run, and the columns that it then has.

A table keeps the types of its columns: libraries of lakes write a value of another type by a cast, which loses digits
without a word. So the types are compared here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oauth_taskflow.destinations.arrow.types import to_arrow_type, to_form
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema, name_kind, unite_fields


def fit_schema(
    table: RecordSchema,
    records: RecordSchema,
    uri: str,
    *,
    widens_decimals: bool = False,
    text_hint: str = "",
) -> RecordSchema:
    """Returns the columns of ``table`` and after them the new ones of ``records``.

    Columns without a value are left out: their type is not known yet. With ``widens_decimals`` a column of decimals may get
    more digits before the point, as in Iceberg. ``text_hint`` is what to do about a column of texts that gets other values.

    Raises:
        DestinationError: a column of the table cannot hold the values of the records.
    """
    known = drop_empty(records)
    united = unite_fields(table.fields, known.fields)
    for name, before in table.fields.items():
        for path, have, need in _find_clashes(name, before, united[name]):
            if not (
                widens_decimals and have.kind == need.kind == "fixed" and have.scale == need.scale
            ):
                hint = text_hint if have.kind == "text" and text_hint else _choose_hint(have, need)
                raise _clash_error(path, have, need, uri, hint)
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


def _find_clashes(
    path: str, before: FieldType, after: FieldType
) -> Iterator[tuple[str, FieldType, FieldType]]:
    """Yields each place where a column would change its type: path, type of the table, type that is needed."""
    if before.kind != after.kind:
        yield path, before, after
    elif before.kind == "list" and before.item is not None and after.item is not None:
        yield from _find_clashes(f"{path}[]", before.item, after.item)
    elif before.kind == "object":
        for name, kind in before.fields.items():
            yield from _find_clashes(f"{path}.{name}", kind, after.fields[name])
    elif to_arrow_type(to_form(before)) != to_arrow_type(to_form(after)):
        yield path, before, after


def _clash_error(
    path: str, have: FieldType, need: FieldType, uri: str, hint: str
) -> DestinationError:
    return DestinationError(
        f"Column {path[:200]!r} of the table holds {name_kind(have)}, and the records of this run need {name_kind(need)}; nothing was "
        "written",
        where=f"at {uri}",
        hint=hint,
    )


def _choose_hint(have: FieldType, need: FieldType) -> str:
    name = name_kind(have)
    if have.kind == "fixed":
        return (
            f"Declare the field as {name} in the schema of the contract, and let it discard other values; for more digits "
            "write to a new table."
        )
    if have.kind in {"date", "timestamp"} and need.kind in {"text", "json"}:
        return (
            f"Declare the field as {name} in the schema of the contract, or cast it (fields: cast); texts are never taken for "
            "dates by themselves, and an instant needs an offset."
        )
    return "Cast the field (fields: cast), let a contract discard such values, or write to a new table."
