"""Readers of one field of each record, undecoded where the path is a plain key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.json import compile_path, plain_keys, search_value
from oauth_taskflow.api.decoders.numbers import build_json_decoder, decode


@lru_cache(maxsize=64)
def _value_decoder(key: str) -> msgspec.json.Decoder[Any]:
    field = msgspec.field(name=key, default=None)
    return build_json_decoder(msgspec.defstruct("Field", [("value", Any, field)]))


def build_field_reader(path: str) -> Callable[[Any], Any]:
    """Returns a function from a record, decoded or ``msgspec.Raw``, to its value at JMESPath ``path``; None when absent."""
    keys = plain_keys(path)
    compile_path(path)  # an unreadable path fails before the first record comes
    if keys is None or len(keys) != 1:
        return lambda record: search_value(
            decode(record) if isinstance(record, msgspec.Raw) else record, path
        )
    key, decoder = keys[0], _value_decoder(keys[0])

    def read(record: Any) -> Any:
        if isinstance(record, msgspec.Raw):
            try:
                return decoder.decode(record).value
            except msgspec.ValidationError:
                return None  # a single value has no fields
        return record.get(key) if isinstance(record, dict) else None

    return read


def build_column_reader(path: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Returns a function like that of ``build_field_reader``, for all records of a page."""
    read = build_field_reader(path)
    keys = plain_keys(path)
    if keys is None or len(keys) != 1:
        return lambda records: [read(record) for record in records]
    decode = _value_decoder(keys[0]).decode

    def read_all(records: Sequence[Any]) -> list[Any]:
        if records and isinstance(records[0], msgspec.Raw):
            with suppress(
                msgspec.ValidationError, TypeError
            ):  # a single value, or no Raw, in between
                return [decode(record).value for record in records]
        return [read(record) for record in records]

    return read_all
