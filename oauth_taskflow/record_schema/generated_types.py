"""Decoders made from a schema: msgspec reads a record into its own type, and fails where the schema does not hold.

So a record that brings nothing new is looked at by compiled code alone. The decoded values are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, NamedTuple, Union

import msgspec
from msgspec import Meta

from oauth_taskflow.record_schema.model import FieldType
from oauth_taskflow.record_schema.observe import SURELY_EXACT, is_exact

_SAFE = 2**53
_SAFE_INTEGER: Any = Annotated[int, Meta(ge=-_SAFE, le=_SAFE)]
_INTEGER: Any = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_SCALARS: Mapping[str, Any] = {
    "null": None,
    "boolean": bool,
    "number": Union[_SAFE_INTEGER, float],  # noqa: UP007 - at run time
    "decimal": int | float,
    "text": str,
    "date": date,
    "timestamp": datetime,
    "json": bool | int | float | str | list | dict,
}
_EMPTY_LIST: Any = Annotated[list, Meta(max_length=0)]

# A number that loses digits has 16 and a point or an exponent. Digits and these marks become 0, and one search is enough: by
# ``rfind``, as ``in`` takes twice as long.
_RUNS = bytes.maketrans(b"123456789.eE", b"0" * 12)
_LONG_RUN = b"0" * 17
# Where there is a long run, marks become points: many digits are before one or after it.
_OUTLINE = bytes.maketrans(b"123456789eE", b"000000000..")
_MANY_AFTER, _MANY_BEFORE = b".00000000", b"00000000."
# A number so near to zero that a double lacks digits of it has such a run, or an exponent of three to five digits. Looks for its
# shape come first: an expression takes ten times as long.
_SMALL_RUN = b"0-000"
_SHAPE = bytes.maketrans(b"123456789E]} \t\r\n", b"0" * 9 + b"e" + b"," * 6)
_SMALL_SHAPES = b"e-000,", b"e-0000,", b"e-00000,"
_SMALL = re.compile(rb"\d[eE]-\d{3}")
_FRACTION = re.compile(rb"(?<=[\[:,\s])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Check(NamedTuple):
    """``decode`` raises for a record that the schema does not hold; ``has_numbers``: digits must be looked at as well."""

    decode: Callable[[Any], object]
    has_numbers: bool


def build_check(fields: Mapping[str, FieldType]) -> Check | None:
    """Returns the check for records with ``fields``; None where msgspec has no type for them.

    Names with a quote, a backslash or a control character are such a case.
    """
    try:
        kind = _build_struct(fields)
    except (ValueError, RecursionError):
        return None
    decode = msgspec.json.Decoder(kind).decode
    verify = _build_verifier(FieldType("object", fields=fields))
    if verify is not None:
        decode = _decode_verified(decode, verify)
    return Check(decode, any(map(_has_numbers, fields.values())))


def _decode_verified(
    decode: Callable[[Any], Any], verify: Callable[[Any], None]
) -> Callable[[Any], None]:
    def decode_verified(data: Any) -> None:
        verify(decode(data))

    return decode_verified


def _build_verifier(kind: FieldType) -> Callable[[Any], None] | None:
    """Returns what raises for a decoded value in which a fixed number has too many digits; None without such a field.

    More than a plain literal, such as an exponent, is left to the slow look.
    """
    if kind.kind == "fixed":
        return _verify_number(kind)
    if kind.kind == "list" and kind.item is not None:
        verify_item = _build_verifier(kind.item)
        return None if verify_item is None else _verify_items(verify_item)
    members = [
        (f"f{place}", verify)
        for place, one in enumerate(kind.fields.values())
        if (verify := _build_verifier(one)) is not None
    ]
    return _verify_members(members) if members else None


def _verify_number(kind: FieldType) -> Callable[[Any], None]:
    before = kind.precision - kind.scale
    whole = rb"-?\d{1,%d}" % before if before else rb"-?0"
    match = re.compile(whole + rb"(?:\.\d{0,%d}0*)?" % kind.scale).fullmatch

    def verify(value: Any) -> None:
        if value is None or (kind.nullable and bytes(value) == b"null"):
            return
        if not match(value):
            raise msgspec.ValidationError("it is not such a number")

    return verify


def _verify_items(verify_item: Callable[[Any], None]) -> Callable[[Any], None]:
    def verify(values: Any) -> None:
        for value in values or ():
            verify_item(value)

    return verify


def _verify_members(members: list[tuple[str, Callable[[Any], None]]]) -> Callable[[Any], None]:
    def verify(value: Any) -> None:
        if value is not None:
            for name, verify_member in members:
                verify_member(getattr(value, name))

    return verify


def _build_struct(fields: Mapping[str, FieldType]) -> Any:
    names = [f"f{number}" for number in range(len(fields))]
    members: list[Any] = [
        (name, _build_type(kind), None) if kind.nullable else (name, _build_type(kind))
        for name, kind in zip(names, fields.values(), strict=True)
    ]
    return msgspec.defstruct(
        "Record",
        members,
        rename=dict(zip(names, fields, strict=True)),
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def _build_type(kind: FieldType) -> Any:
    if kind.kind == "fixed" or (kind.kind == "json" and kind.nullable):
        return msgspec.Raw
    made = _build_plain_type(kind)
    return Union[made, None] if kind.nullable else made  # noqa: UP007 - of types known at run time


def _build_plain_type(kind: FieldType) -> Any:
    if kind.kind == "integer":
        return _INTEGER if kind.wide else _SAFE_INTEGER
    if kind.kind == "list":
        return _EMPTY_LIST if kind.item is None else list[_build_type(kind.item)]  # type: ignore[misc]
    if kind.kind == "object":
        return _build_struct(kind.fields)
    return _SCALARS[kind.kind]


def _has_numbers(kind: FieldType) -> bool:
    if kind.kind == "list":
        return kind.item is not None and _has_numbers(kind.item)
    if kind.kind == "object":
        return any(map(_has_numbers, kind.fields.values()))
    return kind.kind == "number"


def may_lose_digits(data: bytes, *, has_small: bool = True) -> bool:
    """Whether JSON has a number with a fraction or exponent of which a double keeps fewer digits.

    A text that looks like one counts: who asks looks again, slowly. Not ``has_small``: no number in it, read as a double, is zero.
    """
    runs = data.translate(_RUNS)
    is_long = runs.rfind(_LONG_RUN) >= 0 and _may_be_long(data)
    is_small = has_small and runs.rfind(_SMALL_RUN) >= 0 and _may_be_small(data)
    if not is_long and not is_small:
        return False
    return any(
        (len(literal) > SURELY_EXACT or b"-" in literal[1:])
        and set(literal) & set(b".eE")
        and not is_exact(literal)
        for literal in _FRACTION.findall(data)
    )


def _may_be_long(data: bytes) -> bool:
    outline = data.translate(_OUTLINE)
    return _MANY_AFTER in outline or _MANY_BEFORE in outline


def _may_be_small(data: bytes) -> bool:
    shape = data.translate(_SHAPE)
    if all(shape.rfind(small) < 0 for small in _SMALL_SHAPES):
        return False
    return _SMALL.search(data) is not None
