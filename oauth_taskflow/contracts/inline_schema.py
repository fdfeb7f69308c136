"""Schemas as specs write them: a mapping from names to types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from oauth_taskflow.contracts.options import GivenSchema
from oauth_taskflow.errors import SpecError
from oauth_taskflow.record_schema.json_schema import schema_from_json
from oauth_taskflow.record_schema.model import (
    JSON,
    MOST_LEVELS,
    FieldType,
    RecordSchema,
    read_fixed,
)
from oauth_taskflow.suggestions import suggest_allowed

TYPES: Mapping[str, FieldType] = {
    "boolean": FieldType("boolean"),
    "integer": FieldType("integer"),
    "number": FieldType("number"),
    "decimal": FieldType("decimal"),
    "text": FieldType("text"),
    "date": FieldType("date"),
    "timestamp": FieldType("timestamp"),
    "json": FieldType("json"),
}
Path = tuple[str | int, ...]


class Flaw(NamedTuple):
    """A mistake at a path below ``fields``."""

    path: Path
    message: str
    hint: str


def read_given_schema(given: GivenSchema) -> RecordSchema:
    """Returns the schema that a checked spec gives; that of a file is in ``json_schema`` by then.

    Raises:
        SpecError: it cannot be read.
    """
    if given.json_schema is not None:
        return schema_from_json(given.json_schema)
    fields, flaws = read_fields(given.fields or {})
    if flaws:
        raise SpecError([f"{'.'.join(map(str, flaw.path))}: {flaw.message}" for flaw in flaws])
    return RecordSchema(fields)


def read_fields(
    written: Mapping[str, Any], path: Path = ()
) -> tuple[dict[str, FieldType], list[Flaw]]:
    """Returns the fields that a mapping writes, and what is wrong with it."""
    fields: dict[str, FieldType] = {}
    flaws: list[Flaw] = []
    if len(path) > MOST_LEVELS:
        return fields, [Flaw(path, "it is nested too deeply", "Write json for what is inside.")]
    for key, value in written.items():
        name = str(key)
        nullable, name = name.endswith("?"), name.removesuffix("?")
        if not name or name in fields:
            flaws.append(
                Flaw((*path, str(key)), f"there is a field {name!r} already", "Remove it.")
            )
            continue
        kind, found = _read_type(value, (*path, str(key)))
        fields[name] = replace(kind, nullable=True) if nullable else kind
        flaws += found
    return fields, flaws


def _read_named(written: str, path: Path) -> tuple[FieldType, list[Flaw]]:
    try:
        kind = TYPES.get(written) or read_fixed(written)
    except ValueError as error:
        return JSON, [Flaw(path, str(error), "Write decimal(12, 2), or decimal for any digits.")]
    if kind is None:
        hint = suggest_allowed(written, TYPES)
        return JSON, [Flaw(path, f"there is no type {written!r}", hint)]
    return kind, []


def _read_type(written: Any, path: Path) -> tuple[FieldType, list[Flaw]]:
    if isinstance(written, str):
        return _read_named(written, path)
    if isinstance(written, dict):
        fields, flaws = read_fields(written, path)
        return FieldType("object", fields=fields), flaws
    if isinstance(written, list) and len(written) == 1:
        item, flaws = _read_type(written[0], (*path, 0))
        return FieldType("list", item=item), flaws
    hint = "Write a type, a mapping of fields, or a list of one type: [text]."
    return JSON, [Flaw(path, "it is not a type", hint)]
