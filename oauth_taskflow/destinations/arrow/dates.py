"""Reads declared timestamps and dates from texts, a column at a time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.destinations.arrow.types import TIMESTAMP

# RFC 3339 §5.6 allows small letters, and any number of digits; a timestamp has microseconds.
_FINER = r"(\.\d{6})\d+"


def to_timestamps(texts: pa.Array) -> pa.Array:
    """Returns instants in UTC; digits after the microsecond are cut off.

    Raises:
        ArrowInvalid: a text is not an instant with an offset from UTC (RFC 3339).
    """
    try:
        return texts.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        plain = pc.replace_substring_regex(pc.utf8_upper(texts), _FINER, r"\1")
        return plain.cast(TIMESTAMP)


def to_dates(texts: pa.Array) -> pa.Array:
    """Returns dates.

    Raises:
        ArrowInvalid: a text is not a date such as ``2026-01-31``.
    """
    return texts.cast(pa.date32())


def from_timestamps(instants: pa.Array) -> pa.Array:
    """Returns texts such as ``2026-01-31T12:00:00Z``, with six digits of a fraction only where there is one."""
    texts = pc.strftime(instants, format="%Y-%m-%dT%H:%M:%SZ", locale="C")
    return pc.replace_substring(texts, ".000000Z", "Z")


def from_dates(dates: pa.Array) -> pa.Array:
    """Returns texts such as ``2026-01-31``."""
    return dates.cast(pa.string())
