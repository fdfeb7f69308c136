"""Reads and writes JSON whose numbers keep all digits, wherever code looks into records.

Integers are exact in Python. A number with a fraction or exponent is a ``float`` when that float is written as the
API wrote it, else an ``ExactFloat``, which remembers the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value


class ExactFloat(float):
    """A ``float`` that remembers how the API wrote it.

    It computes and compares with other numbers as a ``float`` does, and with its like to the last digit. Written to
    text, JSON or a URL it has all its digits.
    """

    __slots__ = ("text",)
    text: str

    @classmethod
    def parse(cls, text: str) -> ExactFloat:
        """Returns the number that is written as ``text``."""
        number = cls(text)
        number.text = text
        return number

    @property
    def decimal(self) -> Decimal:
        """The number with all its digits."""
        return Decimal(self.text)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        return ExactFloat.parse, (self.text,)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ExactFloat):
            return self.decimal == other.decimal
        return float.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, ExactFloat):
            return self.decimal < other.decimal
        return float.__lt__(self, other)

    def __gt__(self, other: Any) -> Any:
        if isinstance(other, ExactFloat):
            return self.decimal > other.decimal
        return float.__gt__(self, other)

    def __le__(self, other: Any) -> Any:
        return self == other or self < other

    def __ge__(self, other: Any) -> Any:
        return self == other or self > other

    __hash__ = float.__hash__


# JMESPath knows types by their names.
ExactFloat.__name__ = "float"

# Python converts no text of thousands of digits.
_WHOLE = re.compile(r"\s*-?\d{1,99}\s*")
# Up to 15 digits, in the spelling of a float. This usual case is recognised without writing the float.
_SURELY_EXACT = re.compile(r"-?[1-9]\d{0,6}\.\d{0,7}[1-9]")
_write = msgspec.json.Encoder().encode


def read_number(text: str) -> float:
    """Returns the number that JSON writes as ``text``, with a fraction or exponent."""
    number = float(text)
    if _SURELY_EXACT.fullmatch(text):
        return number
    return number if _write(number) == text.encode() else ExactFloat.parse(text)


def read_count(value: Any, name: str, where: str) -> int | None:
    """Returns ``value`` as a count, which APIs send as text too; None when it is absent or negative, that is, unknown.

    Raises:
        InvalidRecord: ``value`` is not a whole number; the message has its ``name`` and ``where`` it was found.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    raise InvalidRecord(f"{name} is {show_value(value)}, not a number", where=where)


def to_plain_numbers(value: Any) -> Any:
    """Returns ``value`` with ordinary floats, as other libraries expect; digits that a float cannot hold are lost."""
    if isinstance(value, dict):
        return {key: to_plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_plain_numbers(item) for item in value]
    return float(value) if isinstance(value, ExactFloat) else value


def _encode_unknown(value: Any) -> Any:
    if isinstance(value, ExactFloat):
        return msgspec.Raw(value.text.encode())
    raise NotImplementedError(f"Encoding objects of type {type(value).__name__} is unsupported")


def build_json_decoder(
    kind: Any = Any, *, float_hook: Callable[[str], float] = read_number
) -> msgspec.json.Decoder[Any]:
    """Returns a decoder whose numbers keep all digits."""
    return msgspec.json.Decoder(kind, float_hook=float_hook)


json_encoder = msgspec.json.Encoder(enc_hook=_encode_unknown)
encode = json_encoder.encode
decode = build_json_decoder().decode
