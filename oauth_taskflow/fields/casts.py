"""The step ``cast``: values of another type, with every digit, or a failure where something would be lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.fields.convert import Converter, Inconvertible

# Ends of what other readers of JSON take: the exponents of a float.
_LARGEST, _SMALLEST = 308, -324
_JSON_NUMBER = re.compile(
    r"-?(?:0|[1-9]\d{0,1000})(?:\.\d{1,1000})?(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_NUMBER_TEXT = re.compile(
    r"([+-]?)(?=\.?\d)0*(\d{0,1000})(?:\.(\d{0,1000}))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII
)
_TRUE = frozenset({"true", "1", "yes", "y", "t", "on"})
_FALSE = frozenset({"false", "0", "no", "n", "f", "off"})


def cast_to_text(value: Any, kind: str, text: str) -> Any:
    """Returns a text as it is, a number as the API wrote it, and a mapping or list as its JSON."""
    if kind == "text":
        return value
    if kind in {"mapping", "list"}:
        return (bytes(value) if isinstance(value, msgspec.Raw) else encode(value)).decode()
    return text


def cast_to_decimal(_value: Any, kind: str, text: str) -> msgspec.Raw:
    """Returns a number with all digits of a number or of its text; without a detour over floats."""
    if kind in {"text", "number"}:
        literal = _write_number(text.strip())
        if literal is not None:
            return msgspec.Raw(literal.encode())
    raise Inconvertible("cast to decimal")


def cast_to_integer(_value: Any, kind: str, text: str) -> msgspec.Raw:
    """Returns a whole number, if the number or text is one: 5, "5" and 5.0 are, 5.5 is not."""
    if kind in {"text", "number"}:
        literal = _write_number(text.strip())
        if literal is not None and (whole := _write_whole(Decimal(literal))) is not None:
            return msgspec.Raw(whole.encode())
    raise Inconvertible("cast to integer without loss")


def cast_to_boolean(_value: Any, _kind: str, text: str) -> bool:
    """Returns true or false for the usual words, for 1 and for 0."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Inconvertible("cast to boolean")


def cast_to_json(value: Any, kind: str, text: str) -> Any:
    """Returns the value that a text holds as JSON; anything but a text is already one."""
    if kind != "text":
        return value
    content = text.strip().encode()
    try:
        msgspec.json.decode(content)
        if b"\n" in content or b"\r" in content:
            content = msgspec.json.format(content, indent=-1)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Inconvertible("read as JSON") from error
    return msgspec.Raw(content)


CASTS: Mapping[str, Converter] = {
    "text": cast_to_text,
    "integer": cast_to_integer,
    "decimal": cast_to_decimal,
    "boolean": cast_to_boolean,
    "json": cast_to_json,
}


def _write_number(text: str) -> str | None:
    """Returns ``text`` as a number of JSON with the same digits; None when it is not a number, or too big for readers."""
    if _JSON_NUMBER.fullmatch(text) is None:
        match = _NUMBER_TEXT.fullmatch(text)
        if match is None:
            return None
        sign, whole, fraction, exponent = match.groups()
        text = "".join(
            [
                "-" if sign == "-" else "",
                whole or "0",
                f".{fraction}" if fraction else "",
                f"e{exponent}" if exponent else "",
            ]
        )
    number = Decimal(text)
    if number and not _SMALLEST <= number.adjusted() <= _LARGEST:
        return None
    return text


def _write_whole(number: Decimal) -> str | None:
    sign, figures, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, figures))
    if exponent >= 0:
        digits += "0" * exponent
    elif digits[exponent:].strip("0"):
        return None
    else:
        digits = digits[:exponent]
    digits = digits.lstrip("0") or "0"
    return f"-{digits}" if sign and digits != "0" else digits
