"""The watermark: the highest value of the incremental field."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from oauth_taskflow.api.decoders.numbers import ExactFloat
from oauth_taskflow.api.pull.missing_fields import missing_field_error, unreadable_time_error
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.date_forms import INTEGER
from oauth_taskflow.dates import (
    Reader,
    UnreadableDate,
    are_sortable_texts,
    build_reader,
    is_empty_date,
)
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value

_INTEGER = re.compile(r"-?\d{1,1000}", re.ASCII)
_EXPONENT = r"[eE][+-]?\d{1,3}"
_DECIMAL = re.compile(rf"-?\d{{1,1000}}(?:\.\d{{1,1000}}(?:{_EXPONENT})?|{_EXPONENT})")

_READ_ANY = build_reader("any")
_KINDS = "It must be an ISO 8601 instant or a number, of one kind in all records."
# The forms whose values the fast way may compare as they are.
_ISO_FORMS = (None, "iso", "any")
_NUMBER_FORMS = (None, INTEGER, "epoch", "epoch_ms", "epoch_us")

# The kind of a value, and the key that sorts values of that kind.
Rank = tuple[str, tuple[int, ...] | int | float | Decimal]


class Watermark:
    """The highest value of the incremental field, as the API wrote it.

    A number with more digits than a float can hold is kept as text.

    Values are of one kind throughout: instants in ``form``; without it instants in any form that has one meaning only
    (no zone means UTC), numbers, or integers written as text. Instants are compared to the nanosecond, integers
    exactly. With the form ``integer``, numbers and texts are integers.
    """

    def __init__(
        self,
        path: str,
        *,
        missing: Literal["fail", "include", "exclude"] = "fail",
        form: str | Sequence[str] | None = None,
    ) -> None:
        self._path = path
        self._values = build_column_reader(path)
        self._missing = missing
        self._form = form
        self._rank_of = build_rank_reader(form)
        self._rank: Rank | None = None
        self.value: str | int | float | None = None

    def update(self, records: Sequence[Any]) -> list[Any]:
        """Compares the field of every record with the highest value so far, and returns these values.

        Raises:
            InvalidRecord: the field is absent (unless ``missing`` allows it), unreadable, or of another kind.
        """
        values = self._values(records)
        if _are_comparable(values, self._form):
            self._compare(max(values))
            return values
        for record, value in zip(records, values, strict=True):
            if is_empty_date(value):
                self._refuse_missing(record)
            else:
                self._compare(value)
        return values

    @property
    def is_instant(self) -> bool:
        """Whether the values are instants, not numbers."""
        return self._rank is not None and self._rank[0] == "instant"

    @property
    def key(self) -> Any:
        """What the value is compared by with others of its kind; None without a value."""
        return None if self._rank is None else self._rank[1]

    def clear(self) -> None:
        """Forgets all values."""
        self._rank = self.value = None

    def restore(self, value: str | float | None) -> None:
        """Takes the highest value of pages that an earlier attempt read, or of other records."""
        if value is not None:
            self._compare(value)

    def _compare(self, value: Any) -> None:
        try:
            rank = self._rank_of(value)
        except UnreadableDate as error:
            raise self._flaw(value, f": {error.reason}") from error
        if rank is None or (self._rank is not None and rank[0] != self._rank[0]):
            flaw = self._flaw(value)
            flaw.hint = _KINDS if self._form is None else flaw.hint
            raise flaw
        if self._rank is None or rank[1] > self._rank[1]:  # type: ignore[operator]  # one kind: checked above
            self._rank, self.value = rank, _to_exact_value(value)

    def _flaw(self, value: Any, reason: str = "") -> InvalidRecord:
        before = "" if self.value is None else f", after {show_value(self.value, self._path)}"
        return unreadable_time_error(self._path, value, before + reason)

    def _refuse_missing(self, record: Any) -> None:
        if self._missing == "fail":
            raise missing_field_error(
                record,
                self._path,
                "incremental.field",
                "Correct incremental.field, or set incremental.missing: include.",
            )


def _are_comparable(values: list[Any], form: str | Sequence[str] | None) -> bool:
    """Whether ``max`` finds the highest of ``values`` without parsing each one, which is by far the usual case."""
    kinds = set(map(type, values))
    if kinds == {str} and form in _ISO_FORMS:
        return are_sortable_texts(values)
    return kinds == {int} and form in _NUMBER_FORMS


def _to_exact_value(value: Any) -> str | int | float:
    if not isinstance(value, ExactFloat):
        kept: str | int | float = value
        return kept
    number = float(value)
    return number if Decimal(repr(number)) == value.decimal else value.text


def build_rank_reader(form: str | Sequence[str] | None = None) -> Callable[[Any], Rank | None]:
    """Returns the function that finds the kind of a value, and the key that sorts values of that kind.

    The function returns None, or raises ``UnreadableDate``, for a value that cannot be a watermark of ``form``.
    """
    if form is None:
        return rank_value
    if form == INTEGER:
        return _integer_rank
    read: Reader = build_reader(form if isinstance(form, str) else tuple(form))
    return lambda value: ("instant", read(value))


def rank_value(value: Any) -> Rank | None:
    """Returns the kind of ``value`` and the key that sorts values of that kind; None for what cannot be a watermark."""
    if isinstance(value, str):
        return _text_rank(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "number", value.decimal if isinstance(value, ExactFloat) else value


def _integer_rank(value: Any) -> Rank | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return "integer", int(value)
    return None if isinstance(value, bool) or not isinstance(value, int) else ("integer", value)


def _text_rank(text: str) -> Rank | None:
    if _DECIMAL.fullmatch(text):
        return "number", Decimal(text)
    if _INTEGER.fullmatch(text):
        return "integer text", int(text)
    return "instant", _READ_ANY(text)
