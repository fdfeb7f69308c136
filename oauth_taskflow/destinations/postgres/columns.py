"""Columns of layout ``columns``: the type of each, and how a column becomes wider without losing anything."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oauth_taskflow.destinations.postgres.identifiers import column_flaw, shorten_name
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType

_TYPES = {
    "boolean": "boolean",
    "integer": "bigint",
    "number": "double precision",
    "decimal": "numeric",
    "fixed": "numeric",  # with digits in its type it would round
    "text": "text",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "list": "jsonb",
    "object": "jsonb",
    "json": "jsonb",
}
# Type of a column → the kinds of values that it holds as it is. Types that are not here were chosen by a person.
_HOLDS = {
    "boolean": {"boolean"},
    "bigint": {"integer"},
    "double precision": {"integer", "number"},
    "numeric": {"integer", "number", "decimal", "fixed"},
    "text": {"text", "date", "timestamp"},
}
_NUMBERS = {"integer", "number", "decimal", "fixed"}
# Behind USING; a double has all its digits in its text only.
_TO_NUMERIC = {"bigint": "{0}::numeric", "double precision": "{0}::text::numeric"}


class Column(Struct, frozen=True):
    """One field and its column; ``using`` converts the values that an existing column has to a wider ``type``."""

    field: str
    name: str
    type: str
    using: str | None = None
    is_new: bool = False


def plan_columns(
    fields: Mapping[str, FieldType], existing: Mapping[str, str], settings: TableSettings
) -> list[Column]:
    """Returns the columns of ``fields`` in a table that has the columns ``existing``, with their types.

    A field without any value yet gets no column.

    Raises:
        DestinationError: the name of a field cannot be that of a column.
    """
    technical = settings.technical_columns()
    columns = []
    for field, seen in fields.items():
        if seen.kind == "null":
            continue
        _check_name(field, technical)
        name = shorten_name(field)
        columns.append(_plan_column(field, name, seen, existing.get(name)))
    return columns


def _plan_column(field: str, name: str, seen: FieldType, present: str | None) -> Column:
    wanted = _TYPES[seen.kind]
    if present is None:
        return Column(field, name, wanted, is_new=True)
    if present not in _HOLDS or present == wanted:
        return Column(field, name, present)
    fits = seen.kind in _HOLDS[present] and not (seen.wide and present == "double precision")
    if fits:
        return Column(field, name, present)
    # The values that are there may have digits that a double does not keep.
    if seen.kind in _NUMBERS and present in _TO_NUMERIC:
        return Column(field, name, "numeric", _TO_NUMERIC[present])
    return Column(field, name, "jsonb", "to_jsonb({0})")


def _check_name(field: str, technical: Mapping[str, str]) -> None:
    flaw = column_flaw(shorten_name(field))
    if flaw is None and field in technical:
        flaw = "it is a technical column; choose another column_prefix"
    if flaw is not None:
        raise DestinationError(
            f"The field {field[:80]!r} cannot be a column: {flaw}",
            where="at the destination",
            hint="Rename or drop it with fields, or write layout: raw.",
        )
