"""Observes and rewrites decoded values without a loss: the slow way of a block whose records do not fit their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa

from oauth_taskflow.api.decoders.numbers import ExactFloat, encode
from oauth_taskflow.destinations.arrow.dates import to_dates, to_timestamps
from oauth_taskflow.record_schema.model import (
    BOOLEAN,
    DECIMAL,
    JSON,
    MOST_LEVELS,
    MOST_NESTED_FIELDS,
    NULL,
    NUMBER,
    TEXT,
    FieldType,
    integer_type,
    unite_all,
    unite_fields,
    unite_types,
)
from oauth_taskflow.record_schema.observe import EXACT, fits_fixed, is_exact

_LONGEST_PLAIN = 64  # digits of a decimal that is written without an exponent


class Misfit(ValueError):
    """A value does not fit the type of its field."""


def observe_records(
    records: Sequence[Mapping[str, Any]], declared: Mapping[str, FieldType]
) -> dict[str, FieldType]:
    """Returns the narrowest types of the fields of ``records``; ``declared`` types say how texts are read."""
    found: dict[str, FieldType] = {}
    counts: dict[str, int] = {}
    for record in records:
        for name, value in record.items():
            seen = observe_value(value, declared.get(name), 0)
            known = found.get(name)
            found[name] = seen if known is None else unite_types(known, seen)
            counts[name] = counts.get(name, 0) + 1
    return {
        name: unite_types(kind, NULL) if counts[name] < len(records) else kind
        for name, kind in found.items()
    }


def observe_value(value: Any, declared: FieldType | None, level: int) -> FieldType:
    """Returns the type of one value, which lies ``level`` objects and lists below its record."""
    if isinstance(value, list | dict):
        return JSON if level >= MOST_LEVELS else _observe_nested(value, declared, level)
    return _observe_scalar(value, declared)


def _observe_scalar(value: Any, declared: FieldType | None) -> FieldType:
    if declared is not None and declared.kind == "fixed":
        found = _observe_fixed(value, declared)
        if found is not None:
            return found
    if isinstance(value, str):
        return _observe_text(value, declared)
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return integer_type(value, value)
    return NUMBER if is_double(value) else DECIMAL


def _observe_fixed(value: Any, declared: FieldType) -> FieldType | None:
    """Returns the declared type of a fixed number whose digits it has, and the number or text of them is ``value``."""
    text = _write_number(value)
    if text is None or not fits_fixed(text, declared):
        return None
    return FieldType("fixed", precision=declared.precision, scale=declared.scale)


def _write_number(value: Any) -> str | None:
    if isinstance(value, str):
        return value if _is_decimal(value) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return write_decimal(value) if is_number else None


def _observe_nested(value: Any, declared: FieldType | None, level: int) -> FieldType:
    if isinstance(value, dict):
        return _observe_object(value, declared, level)
    below = None if declared is None else declared.item
    types = (observe_value(one, below, level + 1) for one in value)
    return FieldType("list", item=unite_all(types, level + 1))


def _observe_object(value: Mapping[str, Any], declared: FieldType | None, level: int) -> FieldType:
    if len(value) > MOST_NESTED_FIELDS:
        return JSON
    below: Mapping[str, FieldType] = {} if declared is None else declared.fields
    fields = {name: observe_value(one, below.get(name), level + 1) for name, one in value.items()}
    return FieldType("object", fields=unite_fields(fields, fields))


def _observe_text(value: str, declared: FieldType | None) -> FieldType:
    if declared is not None and declared.kind in _READERS and _READERS[declared.kind](value):
        return FieldType(declared.kind)
    return TEXT


@lru_cache(maxsize=4096)
def _is_timestamp(text: str) -> bool:
    return _can_read(to_timestamps, text)


@lru_cache(maxsize=4096)
def _is_date(text: str) -> bool:
    return _can_read(to_dates, text)


def _can_read(read: Callable[[pa.Array], pa.Array], text: str) -> bool:
    try:
        read(pa.array([text]))
    except pa.ArrowInvalid:
        return False
    return True


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite() and text.strip() == text and "_" not in text
    except ArithmeticError:
        return False


_READERS: dict[str, Callable[[str], bool]] = {
    "timestamp": _is_timestamp,
    "date": _is_date,
    "decimal": _is_decimal,
}


def is_double(value: float) -> bool:
    """Returns whether a double holds a number with all its digits."""
    return not isinstance(value, ExactFloat) or is_exact(value.text.encode())


def write_decimal(value: float | str | Decimal) -> str:
    """Returns the digits of a number, alike however it was written: ``1.10`` and ``11e-1`` give ``1.1``."""
    if isinstance(value, int | str):
        return str(value)
    number = value.decimal if isinstance(value, ExactFloat) else Decimal(str(value))
    number = EXACT.normalize(number)
    if not number:
        return "0"
    plain = abs(number.adjusted()) < _LONGEST_PLAIN
    return format(number, "f") if plain else str(number)


def rewrite(value: Any, field_type: FieldType, declared: FieldType | None = None) -> Any:
    """Returns ``value`` with texts in place of the decimals and JSON values within it, as its column keeps them.

    Raises:
        Misfit: a value within it is not a decimal, although its field is.
    """
    if value is None:
        return None
    kind = field_type.kind
    if kind == "json":
        return encode(value).decode()
    if kind in {"decimal", "fixed"}:
        return _rewrite_decimal(value, field_type, declared)
    if kind == "list" and isinstance(value, list) and field_type.item is not None:
        item, below = field_type.item, None if declared is None else declared.item
        return [rewrite(one, item, below) for one in value]
    if kind == "object" and isinstance(value, dict):
        return _rewrite_object(value, field_type, declared)
    return value


def _rewrite_object(
    value: dict[str, Any], field_type: FieldType, declared: FieldType | None
) -> dict[str, Any]:
    fields = field_type.fields
    below: Mapping[str, FieldType] = {} if declared is None else declared.fields
    return {
        name: rewrite(one, fields[name], below.get(name)) if name in fields else one
        for name, one in value.items()
    }


def _rewrite_decimal(value: Any, field_type: FieldType, declared: FieldType | None) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return write_decimal(value)
    known = field_type if field_type.kind == "fixed" else declared
    if isinstance(value, str) and _observe_scalar(value, known).kind in {"decimal", "fixed"}:
        return value
    raise Misfit(f"{type(value).__name__} is not a decimal")
