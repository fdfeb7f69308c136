"""The watermark: the highest value of the incremental field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

from oauth_taskflow.api.decoders.numbers import ExactFloat
from oauth_taskflow.api.pull.missing_fields import missing_field_error
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.errors import InvalidRecord

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?"
)
# ISO 8601 texts of equal length sort chronologically.
_UTC = re.compile(
    r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-6]\d(?:\.\d{1,9})?Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_INTEGER = re.compile(r"-?\d+")
_EXPONENT = r"[eE][+-]?\d{1,3}"
_DECIMAL = re.compile(rf"-?\d{{1,1000}}(?:\.\d{{1,1000}}(?:{_EXPONENT})?|{_EXPONENT})")

# The kind of a value, and the key that sorts values of that kind.
Rank = tuple[str, tuple[int, ...] | int | float | Decimal]


class Watermark:
    """The highest value of the incremental field, as the API wrote it.

    A number with more digits than a float can hold is kept as text.

    Values are instants (ISO 8601; no zone means UTC), numbers, or integers written as text, and of one kind
    throughout. Instants are compared to the nanosecond, integers exactly.
    """

    def __init__(self, path: str, *, missing: Literal["fail", "include"] = "fail") -> None:
        self._path = path
        self._values = build_column_reader(path)
        self._missing = missing
        self._rank: Rank | None = None
        self.value: str | int | float | None = None

    def update(self, records: Sequence[Any]) -> None:
        """Compares the field of every record with the highest value so far.

        Raises:
            InvalidRecord: the field is absent (unless ``missing`` is ``include``), unreadable, or of another kind.
        """
        values = self._values(records)
        if _are_comparable(values):
            self._compare(max(values))
            return
        for record, value in zip(records, values, strict=True):
            if value is None:
                self._refuse_missing(record)
            else:
                self._compare(value)

    def _compare(self, value: Any) -> None:
        rank = _rank_value(value)
        if rank is None or (self._rank is not None and rank[0] != self._rank[0]):
            before = "" if self.value is None else f", after {self.value!r:.40}"
            raise InvalidRecord(
                f"The incremental field {self._path!r} is {value!r:.40}{before}",
                hint="It must be an ISO 8601 instant or a number, of one kind in all records.",
            )
        if self._rank is None or rank[1] > self._rank[1]:  # type: ignore[operator]  # one kind: checked above
            self._rank, self.value = rank, _to_exact_value(value)

    def _refuse_missing(self, record: Any) -> None:
        if self._missing == "fail":
            raise missing_field_error(
                record,
                self._path,
                "incremental.field",
                "Correct incremental.field, or set incremental.missing: include.",
            )


def _are_comparable(values: list[Any]) -> bool:
    """Whether ``max`` finds the highest of ``values`` without parsing each one, which is by far the usual case."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return len(set(map(len, values))) == 1 and all(map(_UTC.fullmatch, values))
    return kinds == {int}


def _to_exact_value(value: Any) -> str | int | float:
    if not isinstance(value, ExactFloat):
        kept: str | int | float = value
        return kept
    number = float(value)
    return number if Decimal(repr(number)) == value.decimal else value.text


def _rank_value(value: Any) -> Rank | None:
    if isinstance(value, str):
        return _text_rank(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "number", value.decimal if isinstance(value, ExactFloat) else value


def _text_rank(text: str) -> Rank | None:
    if _DECIMAL.fullmatch(text):
        return "number", Decimal(text)
    if _INTEGER.fullmatch(text):
        return "integer text", int(text)
    match = _INSTANT.fullmatch(text)
    return None if match is None else _instant_rank(match)


def _instant_rank(match: re.Match[str]) -> Rank | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    # Seconds are added, not set, because a leap second is written as 60.
    since = local + timedelta(seconds=int(second or 0)) - _EPOCH - _zone_offset(zone)
    seconds = since.days * 86_400 + since.seconds
    return "instant", (seconds, int((fraction or "").ljust(9, "0")))


def _zone_offset(zone: str | None) -> timedelta:
    if zone is None or zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return offset if zone[0] == "+" else -offset
