"""The schema of one record, found by looking at every value: exact, and slow.

``SchemaObserver`` asks it about the records that are not as the ones before. Records are looked at undecoded: a number is judged
by its literal, so that nothing is rounded on the way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import msgspec

from oauth_taskflow.errors import InvalidRecord
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
)

_open_mapping: Any = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_open_list: Any = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
_SCALARS = {ord("t"): BOOLEAN, ord("f"): BOOLEAN, ord("n"): NULL, ord('"'): TEXT}
# A double keeps 15 digits of every decimal number; with the point they are 16 characters.
SURELY_EXACT = 16
# Nearer to zero a double has fewer digits, and then none.
_SMALLEST = sys.float_info.min
_LONGEST_INTEGER = 20
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_HINT = "Look at the answer of the API: a value in it has a form that JSON does not have, or too many levels."


def open_object(value: Any) -> Mapping[str, Any] | None:
    """Returns the fields of an undecoded object, undecoded; of a name that comes twice the last, as every reader takes it.

    None for another value.

    Raises:
        ValueError: it is not JSON.
    """
    if memoryview(value)[0] != ord("{"):
        return None
    try:
        fields: dict[str, Any] = _open_mapping(value)
    except _UNREADABLE:
        read = _read_any_text(value)
        return {name: msgspec.Raw(_close(inner)) for name, inner in read.items()}
    return fields


def open_list(value: Any) -> Iterable[Any]:
    """Returns the undecoded items of an undecoded list.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        items: list[Any] = _open_list(value)
    except _UNREADABLE:
        return [msgspec.Raw(_close(item)) for item in _read_any_text(value)]
    return items


def _read_any_text(value: Any) -> Any:
    """Reads JSON with half characters (lone surrogates) and bytes that are not UTF-8; numbers stay literals."""
    text = bytes(value).decode("utf-8", "surrogateescape")
    return json.loads(text, parse_float=_Literal, parse_int=_Literal)


class _Literal(str):
    """A number as the API wrote it."""

    __slots__ = ()


def _close(value: Any) -> bytes:
    if isinstance(value, _Literal):
        return value.encode()
    if isinstance(value, dict):
        members = (json.dumps(k).encode() + b":" + _close(v) for k, v in value.items())
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_close, value)) + b"]"
    return json.dumps(value).encode()


def open_record(record: Any) -> Mapping[str, Any]:
    """Returns the undecoded fields of an undecoded record.

    Raises:
        InvalidRecord: it is a single value or a list, or not JSON.
    """
    try:
        fields = open_object(record)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord("A record is not readable as JSON", hint=_HINT) from error
    if fields is None:
        raise InvalidRecord(
            "A record is a single value or a list, which has no fields to make a schema of",
            hint="Let the record selector build mappings, as in labels[].{label: @}, or remove contract.",
        )
    return fields


def observe_record(record: Any) -> dict[str, FieldType]:
    """Returns the types of the fields of an undecoded record.

    Raises:
        InvalidRecord: it is a single value or a list, or not JSON.
    """
    fields = open_record(record)
    try:
        return observe_fields(fields)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord("A record is not readable as JSON", hint=_HINT) from error


def observe_fields(fields: Mapping[str, Any], level: int = 0) -> dict[str, FieldType]:
    """Returns the types of undecoded ``fields``."""
    return {name: observe_value(value, level) for name, value in fields.items()}


def observe_value(value: Any, level: int = 0) -> FieldType:
    """Returns the type of one undecoded value, which is ``level`` objects and lists below a field of the record."""
    first = memoryview(value)[0]
    known = _SCALARS.get(first)
    if known is not None:
        return known
    if first not in b"{[":
        return observe_number(bytes(value))
    if level >= MOST_LEVELS:
        return JSON
    if first == ord("["):
        types = (observe_value(item, level + 1) for item in open_list(value))
        return FieldType("list", item=unite_all(types, level + 1))
    fields = open_object(value) or {}
    if len(fields) > MOST_NESTED_FIELDS:
        return JSON
    return FieldType("object", fields=observe_fields(fields, level + 1))


def observe_number(literal: bytes) -> FieldType:
    """Returns the type of a number by its literal."""
    if not literal.isdigit() and set(literal) & set(b".eE"):
        return NUMBER if is_exact(literal) else DECIMAL
    if len(literal) > _LONGEST_INTEGER:
        return DECIMAL
    number = int(literal)
    return integer_type(number, number)


def fits_fixed(literal: str, kind: FieldType) -> bool:
    """Whether a number has no more digits than a fixed number of type ``kind``, zeros at its ends aside."""
    _, digits, exponent = Decimal(literal).normalize(EXACT).as_tuple()
    if not isinstance(exponent, int):  # NaN and infinite
        return False
    if digits == (0,):
        return True
    return -exponent <= kind.scale and len(digits) + exponent <= kind.precision - kind.scale


def is_exact(literal: bytes) -> bool:
    """Whether a double keeps all digits of a number that is written with a fraction or exponent."""
    number = float(literal)
    if number in {float("inf"), float("-inf")}:
        return False
    if len(literal) <= SURELY_EXACT and abs(number) >= _SMALLEST:
        return True
    if not number:
        return not set(literal.lower().partition(b"e")[0]) & set(b"123456789")
    return Decimal(repr(number)) == Decimal(literal.decode())
