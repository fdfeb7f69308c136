"""Reads declared timestamps and dates from texts, a column at a time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.destinations.arrow.types import TIMESTAMP

_FIRST_INSTANT = pa.scalar("0001-01-01T00:00:00Z").cast(TIMESTAMP)
_LAST_INSTANT = pa.scalar("9999-12-31T23:59:59.999999Z").cast(TIMESTAMP)
_FIRST_DAY = pa.scalar("0001-01-01").cast(pa.date32())
_LAST_DAY = pa.scalar("9999-12-31").cast(pa.date32())
# RFC 3339 §5.6 allows small letters, and any number of digits; a timestamp has microseconds.
_FINER = r"(\.\d{6})\d+"


def to_timestamps(texts: pa.Array) -> pa.Array:
    """Returns instants in UTC; digits after the microsecond are cut off.

    Raises:
        ArrowInvalid: a text is not an instant with an offset from UTC (RFC 3339), or in UTC it is not in the years 1 to 9999.
    """
    try:
        found = texts.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        plain = pc.replace_substring_regex(pc.utf8_upper(texts), _FINER, r"\1")
        found = plain.cast(TIMESTAMP)
    return _require_years(found, _FIRST_INSTANT, _LAST_INSTANT)


def to_dates(texts: pa.Array) -> pa.Array:
    """Returns dates.

    Raises:
        ArrowInvalid: a text is not a date such as ``2026-01-31``, or is of the year 0.
    """
    found = texts.cast(pa.date32())
    return _require_years(found, _FIRST_DAY, _LAST_DAY)


def _require_years(found: pa.Array, first: pa.Scalar, last: pa.Scalar) -> pa.Array:
    """Python, and so every reader of it, has only the years 1 to 9999."""
    ends = pc.min_max(found)
    below, above = pc.less(ends["min"], first), pc.greater(ends["max"], last)
    if below.as_py() or above.as_py():
        raise pa.ArrowInvalid("it is not in the years 1 to 9999")
    return found


def from_timestamps(instants: pa.Array) -> pa.Array:
    """Returns texts such as ``2026-01-31T12:00:00Z``, with six digits of a fraction only where there is one."""
    texts = pc.strftime(instants, format="%Y-%m-%dT%H:%M:%SZ", locale="C")
    return pc.replace_substring(texts, ".000000Z", "Z")


def from_dates(dates: pa.Array) -> pa.Array:
    """Returns texts such as ``2026-01-31``."""
    return dates.cast(pa.string())
