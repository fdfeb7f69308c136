"""Decoders made from a schema: msgspec reads records into a type made for them, and fails where the schema does not hold.

So records that bring nothing new are looked at by compiled code alone. The decoded values are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, Union

import msgspec
from msgspec import Meta

from oauth_taskflow.record_schema.model import FieldType
from oauth_taskflow.record_schema.observe import SURELY_EXACT, is_exact, observe_number

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
_NULL = msgspec.Raw(b"null")
# The characters of numbers without an exponent, with a comma between them; of all JSON values these alone have no others. A
# literal that is not longer than ``_SURELY_SAFE`` then loses no digit.
_PLAIN = b"0123456789-.,"
_NULL_OR_PLAIN = _PLAIN + b"nul"
_SURELY_SAFE = 15

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


class _NumberField(NamedTuple):
    """A field of doubles that each record has once, if it has it; ``get`` returns its literal."""

    get: Callable[[Any], Any]
    nullable: bool

    def holds(self, records: Sequence[Any]) -> bool:
        """Whether all values are numbers of which a double keeps all digits, or null where that is allowed."""
        literals = list(map(self.get, records))
        others = b",".join(literals).translate(None, _NULL_OR_PLAIN if self.nullable else _PLAIN)
        if not others and max(map(len, literals)) <= _SURELY_SAFE:
            return True
        return all(self._keeps(bytes(literal)) for literal in literals)

    def _keeps(self, literal: bytes) -> bool:
        if literal == b"null":
            return self.nullable
        if literal[0] not in b"-0123456789":
            return False
        number = observe_number(literal)
        return number.kind in {"integer", "number"} and not number.wide


class Check:
    """Says whether a schema holds for undecoded records."""

    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        types = _Types()
        self._decode = msgspec.json.Decoder(list[types.build_struct(fields, "")]).decode  # type: ignore[misc]
        self._verify = _build_verifier(FieldType("object", fields=fields))
        self._numbers = types.numbers
        self._has_others = types.has_others

    def holds(self, records: Sequence[Any]) -> bool:
        """Whether the schema holds for all of ``records``, at least one; no number of them loses digits in it.

        False as well where only a look at every value can say so.
        """
        data = b"[%b]" % b",".join(records)
        try:
            found = self._decode(data)
            if self._verify is not None:
                for record in found:
                    self._verify(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if not all(field.holds(found) for field in self._numbers):
            return False
        return not (self._has_others and may_lose_digits(data))


def build_check(fields: Mapping[str, FieldType]) -> Check | None:
    """Returns the check for records with ``fields``; None where msgspec has no type for them.

    Names with a quote, a backslash or a control character are such a case.
    """
    try:
        return Check(fields)
    except (ValueError, RecursionError):
        return None


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


class _Types:
    """Builds the types of a schema, and notes where its doubles are: ``has_others`` says that some may be anywhere.

    ``path`` leads from a record to a value, attribute by attribute; it is None where a record may have several or none.
    """

    def __init__(self) -> None:
        self.numbers: list[_NumberField] = []
        self.has_others = False

    def build_struct(self, fields: Mapping[str, FieldType], path: str | None) -> Any:
        """Returns the type of an object; ``path`` ends with a point, or is empty."""
        names = [f"f{number}" for number in range(len(fields))]
        members: list[Any] = []
        for name, kind in zip(names, fields.values(), strict=True):
            place = None if path is None else f"{path}{name}"
            made = self._build_type(kind, place)
            default = _NULL if kind.kind == "number" and place is not None else None
            members.append((name, made, default) if kind.nullable else (name, made))
        return msgspec.defstruct(
            "Record",
            members,
            rename=dict(zip(names, fields, strict=True)),
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )

    def _build_type(self, kind: FieldType, path: str | None) -> Any:
        if kind.kind == "fixed" or (kind.kind == "json" and kind.nullable):
            return msgspec.Raw
        if kind.kind == "number" and path is not None:
            self.numbers.append(_NumberField(attrgetter(path), kind.nullable))
            return msgspec.Raw
        made = self._build_plain_type(kind, None if kind.nullable else path)
        return Union[made, None] if kind.nullable else made  # noqa: UP007 - of types known at run time

    def _build_plain_type(self, kind: FieldType, path: str | None) -> Any:
        if kind.kind == "integer":
            return _INTEGER if kind.wide else _SAFE_INTEGER
        if kind.kind == "list":
            return _EMPTY_LIST if kind.item is None else list[self._build_type(kind.item, None)]  # type: ignore[misc]
        if kind.kind == "object":
            return self.build_struct(kind.fields, None if path is None else f"{path}.")
        self.has_others = self.has_others or kind.kind == "number"
        return _SCALARS[kind.kind]


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
