"""Digests of whole records: of their bytes, or of a form that a database gives back after it has changed order and blanks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import (
    ExactFloat,
    build_json_decoder,
    encode,
    read_number,
)

ContentReader = Callable[[Any], bytes]
# Numbers of more digits keep their exponent: 1e999999999 has a billion of them.
_MOST_DIGITS = 400


def read_content(record: Any) -> bytes:
    """Returns a record as the API wrote it."""
    return bytes(record) if isinstance(record, msgspec.Raw) else encode(record)


def sort_content(record: Any) -> bytes:
    """Returns a record as JSON that does not depend on the order of names, on blanks, or on exponents of numbers."""
    try:
        value = _decode(record) if isinstance(record, msgspec.Raw) else record
    except (ValueError, RecursionError):  # such as half of a pair of surrogates
        return bytes(record)
    return _sort(value)


def digest_record(key: bytes, content: bytes) -> bytes:
    """Returns 16 bytes that are equal for records of one key and content."""
    return hashlib.blake2b(key + b"\0" + content, digest_size=16).digest()


def _read_number(text: str) -> float:
    if "e" in text or "E" in text:
        number = Decimal(text)
        if abs(number.adjusted()) < _MOST_DIGITS:
            text = format(number, "f")
    return read_number(text)


def _write_number(value: Any) -> msgspec.Raw:
    assert isinstance(value, ExactFloat)  # all else is of JSON
    return msgspec.Raw(value.text.encode())


_decode = build_json_decoder(float_hook=_read_number).decode
_sort = msgspec.json.Encoder(enc_hook=_write_number, order="deterministic").encode
