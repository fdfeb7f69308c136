"""The order of rows with one key: that of the incremental field, in the form in which the spec says that records write it."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.api.pull.watermark import build_rank_reader
from oauth_taskflow.date_forms import INTEGER
from oauth_taskflow.dates import UnreadableDate, is_empty_date
from oauth_taskflow.errors import DestinationError

# Instants are seconds since 1970; a rank has 29 digits before the point and 9 after it.
_RANKS = pa.decimal128(38, 9)
_STEP = Decimal("1e-9")
_EXACT = Context(prec=38, traps=[Inexact, InvalidOperation])
_NANOSECONDS = pa.timestamp("ns", tz="UTC")
# The forms whose texts Arrow reads as well, and those whose numbers are in the order of time.
_ISO_FORMS = frozenset({None, "iso", "any"})
_NUMBER_FORMS = frozenset({None, INTEGER, "epoch", "epoch_ms", "epoch_us"})
_INSTANT, _NUMBER, _TEXT = "instants", "numbers", "texts"


class RowOrder:
    """Gives the ranks by which the values of column ``name`` are compared; ``form`` is ``incremental.field_format``.

    Texts are instants, or numbers: all those of a run are of one kind, and so are those of the table that they are compared with.
    Without a form, a run with other texts is in the order of its texts.
    """

    def __init__(self, name: str, form: str | tuple[str, ...] | None, uri: str) -> None:
        self.name = name
        self._form, self._uri = form, uri
        self._rank_of = build_rank_reader(form)
        self._kind: str | None = None

    def is_plain(self, column: pa.DataType) -> bool:
        """Whether values of this type are in the right order as they are."""
        is_number = pa.types.is_integer(column) or pa.types.is_floating(column)
        return not _is_text(column) and (not is_number or self._form in _NUMBER_FORMS)

    def rank(self, values: pa.Array) -> pa.Array:
        """Returns what is compared in place of ``values``; null for a missing one. The first call gives those of the run.

        Raises:
            DestinationError: a value is not of the form, or not of the kind of those before.
        """
        if self.is_plain(values.type) or self._kind == _TEXT:
            return values
        if _is_text(values.type) and self._form in _ISO_FORMS and self._kind != _NUMBER:
            found = _read_instants(values)
            if found is not None:
                self._kind = _INSTANT if found.null_count < len(found) else self._kind
                return found
        given = values.to_pylist()
        try:
            return pa.array([None if is_empty_date(v) else self._rank(v) for v in given], _RANKS)
        except UnreadableDate as error:
            if self._form is None and self._kind is None:
                self._kind = _TEXT
                return values
            raise self._flaw(error.reason) from error

    def _rank(self, value: Any) -> Decimal:
        rank = self._rank_of(value)
        if rank is None:
            raise UnreadableDate(f"{value!r:.40} is neither an instant nor a number")
        key, kind = rank[1], _NUMBER
        if isinstance(key, tuple):
            found, kind = Decimal(key[0]) + key[1] * _STEP, _INSTANT
        else:
            found = Decimal(repr(key)) if isinstance(key, float) else Decimal(key)
        if self._kind not in {None, kind}:
            raise self._flaw(f"there are {self._kind}, and {value!r:.40} is one of {kind}")
        try:
            found = found.quantize(_STEP, context=_EXACT)
        except (Inexact, InvalidOperation) as error:
            raise self._flaw(f"{value!r:.40} has too many digits") from error
        self._kind = kind
        return found

    def _flaw(self, reason: str) -> DestinationError:
        return DestinationError(
            f"Values of the incremental field {self.name[:100]!r} cannot be compared, in the run or in the table: {reason}; "
            "nothing was written",
            where=f"at {self._uri}",
            hint="Correct incremental.field or incremental.field_format, or write mode: replace_run.",
        )


def _is_text(column: pa.DataType) -> bool:
    return bool(pa.types.is_string(column) or pa.types.is_large_string(column))


def _read_instants(texts: pa.Array) -> pa.Array | None:
    """Returns the ranks of instants with an offset from UTC; None when a text is none, or is beyond the years 1677 to 2262."""
    try:
        count = texts.cast(_NANOSECONDS).cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return pc.multiply(count.cast(pa.decimal128(19, 0)), pa.scalar(_STEP)).cast(_RANKS)
