"""The schema of records as a value: the fields of a record, their types, and the union of two schemas.

A schema is observed in records, declared in a spec or read from a file. Parquet files, tables and manifests follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal[
    "null",  # no value was seen
    "boolean",
    "integer",  # 64 bits, signed
    "number",  # a double
    "decimal",  # a number of which every digit counts: beyond 64 bits, or beyond a double's 53 in a field with fractions
    "fixed",  # a number with at most ``precision`` digits, ``scale`` of them after the point, such as money; only if it is declared
    "text",
    "date",
    "timestamp",
    "list",
    "object",
    "json",  # any JSON value: the union of types that have no other
]

# Objects with more fields than this are mappings with data as names, so they count as one JSON value.
MOST_NESTED_FIELDS = 200
# Objects and lists nested deeper than this count as JSON values.
MOST_LEVELS = 16
_SAFE_INTEGER = 2**53
_LONGEST_INTEGER = 2**63
# Digits of a fixed number: what Arrow's decimal128 and all tables hold.
MOST_DIGITS = 38
_FIXED = re.compile(r"decimal\((\d{1,3}), ?(\d{1,3})\)")
_NUMBERS = frozenset({"integer", "number", "decimal", "fixed"})


class FieldType(Struct, frozen=True, omit_defaults=True):
    """The type of a field.

    ``nullable``: it may be absent or null. ``wide``: an integer may have more digits than a double keeps. ``item`` is the
    type of a list's items, None when all lists were empty; ``fields`` are those of an object. ``precision`` and ``scale`` are digits
    of a fixed number: all of them, and those after the point.
    """

    kind: Kind
    nullable: bool = False
    wide: bool = False
    item: FieldType | None = None
    fields: Mapping[str, FieldType] = {}
    precision: int = 0
    scale: int = 0


NULL = FieldType("null", nullable=True)
JSON = FieldType("json", nullable=True)
BOOLEAN, TEXT = FieldType("boolean"), FieldType("text")
NUMBER, DECIMAL = FieldType("number"), FieldType("decimal")


class RecordSchema(Struct, frozen=True):
    """The fields of records by name, in the order in which they were seen first."""

    fields: Mapping[str, FieldType] = {}


def name_kind(kind: FieldType) -> str:
    """Returns the kind as specs write it: ``integer``, ``decimal(12, 2)``."""
    return f"decimal({kind.precision}, {kind.scale})" if kind.kind == "fixed" else kind.kind


def read_fixed(text: str) -> FieldType | None:
    """Returns the type that a text such as ``decimal(12, 2)`` names; None for another text.

    Raises:
        ValueError: no table holds so many digits.
    """
    found = _FIXED.fullmatch(text)
    if found is None:
        return None
    precision, scale = int(found[1]), int(found[2])
    if not 1 <= precision <= MOST_DIGITS or scale > precision:
        raise ValueError(
            f"the digits are 1 to {MOST_DIGITS}, and those after the point at most as many"
        )
    return FieldType("fixed", precision=precision, scale=scale)


def integer_type(lowest: int, highest: int) -> FieldType:
    """Returns the type of integers of this range."""
    if lowest < -_LONGEST_INTEGER or highest >= _LONGEST_INTEGER:
        return FieldType("decimal")
    return FieldType("integer", wide=lowest < -_SAFE_INTEGER or highest > _SAFE_INTEGER)


def unite_all(types: Iterable[FieldType], level: int) -> FieldType | None:
    """Returns the union of ``types``, which lie ``level`` objects and lists below a field of the record; None without types."""
    united: FieldType | None = None
    for each in types:
        united = each if united is None else unite_types(united, each, level=level)
    return united


def unite_types(first: FieldType, second: FieldType, *, level: int = 0) -> FieldType:
    """Returns the narrowest type that holds the values of both; the order of the two does not matter.

    Nothing is rounded: integers that a double cannot hold make ``decimal`` of a field with fractions. Types without
    another union become ``json``, of which null is a value.
    """
    if first == second:
        return first
    united = _unite_kinds(first, second, level)
    nullable = first.nullable or second.nullable or united is JSON
    return united if united.nullable == nullable else replace(united, nullable=nullable)


def _unite_kinds(first: FieldType, second: FieldType, level: int) -> FieldType:
    kinds = {first.kind, second.kind}
    if "null" in kinds:
        return second if first.kind == "null" else first
    if kinds <= _NUMBERS:
        return _unite_numbers(first, second)
    if len(kinds) > 1:
        return FieldType("text") if kinds <= {"text", "date", "timestamp"} else JSON
    return _unite_nested(first, second, level)


def _unite_nested(first: FieldType, second: FieldType, level: int) -> FieldType:
    if first.kind in {"list", "object"} and level >= MOST_LEVELS:
        return JSON
    if first.kind == "list":
        return FieldType("list", item=_unite_items(first.item, second.item, level + 1))
    if first.kind == "object":
        fields = unite_fields(first.fields, second.fields, level=level + 1)
        return JSON if len(fields) > MOST_NESTED_FIELDS else FieldType("object", fields=fields)
    return first


def _unite_items(first: FieldType | None, second: FieldType | None, level: int) -> FieldType | None:
    if first is None or second is None:  # an empty list says nothing about items
        return first or second
    return unite_types(first, second, level=level)


def _unite_numbers(first: FieldType, second: FieldType) -> FieldType:
    kinds = {first.kind, second.kind}
    wide = first.wide or second.wide
    if kinds == {"fixed"}:
        return _unite_fixed(first, second)
    if kinds & {"decimal", "fixed"} or (wide and "number" in kinds):
        return FieldType("decimal")
    return FieldType("number") if "number" in kinds else FieldType("integer", wide=wide)


def _unite_fixed(first: FieldType, second: FieldType) -> FieldType:
    scale = max(first.scale, second.scale)
    precision = max(first.precision - first.scale, second.precision - second.scale) + scale
    if precision > MOST_DIGITS:
        return FieldType("decimal")
    return FieldType("fixed", precision=precision, scale=scale)


def unite_fields(
    first: Mapping[str, FieldType], second: Mapping[str, FieldType], *, level: int = 0
) -> dict[str, FieldType]:
    """Returns the fields of both; a field that only one of them has is nullable. New fields come last."""
    united = dict(first)
    for name, other in second.items():
        mine = first.get(name)
        united[name] = (
            replace(other, nullable=True) if mine is None else unite_types(mine, other, level=level)
        )
    for name in first.keys() - second.keys():
        united[name] = replace(united[name], nullable=True)
    return united


def unite_schemas(first: RecordSchema, second: RecordSchema) -> RecordSchema:
    """Returns the schema that the records of both have; a field that only one of them knows is nullable."""
    return RecordSchema(unite_fields(first.fields, second.fields))
