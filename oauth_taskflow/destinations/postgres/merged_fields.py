"""The further fields of a staged record in mode ``merge``: what orders the records of one key, and whether it is a tombstone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from oauth_taskflow.api.decoders.numbers import ExactFloat
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.api.pull.watermark import build_rank_reader
from oauth_taskflow.dates import UnreadableDate, is_empty_date
from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.postgres.lines import NULL, SEPARATOR
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_values import show_value

_NANOSECONDS = 1_000_000_000


def build_merged_fields(
    facts: EndpointFacts, deleted_when: str | None, where: str
) -> Callable[[Sequence[Any]], list[bytes]]:
    """Returns a function from records to the further fields of their lines.

    Raises (the function):
        DestinationError: the incremental field of a record cannot be compared.
    """
    orders = None if facts.order_field is None else build_column_reader(facts.order_field)
    tombstones = None if deleted_when is None else build_column_reader(deleted_when)
    rank_of = build_rank_reader(facts.order_form)

    def read(records: Sequence[Any]) -> list[bytes]:
        values = orders(records) if orders is not None else [None] * len(records)
        deleted = tombstones(records) if tombstones is not None else [None] * len(records)
        return [
            _write_order(value, rank_of, where) + SEPARATOR + (b"t" if _is_true(gone) else b"f")
            for value, gone in zip(values, deleted, strict=True)
        ]

    return read


def _is_true(value: Any) -> bool:
    """Whether JMESPath takes ``value`` for true: zero is, empty lists, mappings and texts are not."""
    return value is not None and value is not False and value not in ("", [], {})


def _write_order(value: Any, rank_of: Callable[[Any], Any], where: str) -> bytes:
    """Returns the value as a number that sorts like it: an instant as nanoseconds since 1970; NULL for a missing one."""
    if is_empty_date(value):
        return NULL
    try:
        rank = rank_of(value)
    except UnreadableDate as error:
        raise _order_error(value, error.reason, where) from error
    if rank is None:
        raise _order_error(value, "it is neither an instant nor a number", where)
    kind, key = rank
    if kind == "instant":
        return str(key[0] * _NANOSECONDS + key[1]).encode()
    number = key.decimal if isinstance(key, ExactFloat) else key
    return str(number if isinstance(number, (int, Decimal)) else Decimal(repr(number))).encode()


def _order_error(value: Any, reason: str, where: str) -> DestinationError:
    return DestinationError(
        f"The incremental field of a record, {show_value(value)}, cannot be compared: {reason}",
        where=f"at {where}",
        hint="Correct incremental.field or incremental.field_format, or write mode: replace_run.",
    )
