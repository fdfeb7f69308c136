"""Dates and durations as the format writes them, without the cost of a date library."""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo

_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{3}|\.\d{6})?)?(Z|[+-]\d{2}:\d{2})?)?\Z",
    re.ASCII,
)
_DURATION = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z",
    re.ASCII,
)
_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)


def parse_instant(text: str, zone: tzinfo = timezone.utc) -> datetime | None:
    """``text`` as an aware instant, in ``zone`` when it names none itself; None when it is no ISO 8601 date.

    Only forms that every supported Python reads are taken: 2026-01-31, 2026-01-31T06:00, with seconds, milli- or
    microseconds, ``Z`` or an offset like +02:00.
    """
    if not _DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def duration_length(text: str) -> float | None:
    """About how many seconds ``text`` lasts (months 30 days, years 365), for comparing; None when it is no duration."""
    match = _DURATION.match(text)
    if match is None:
        return None
    return sum(
        float(part or 0) * seconds for part, seconds in zip(match.groups(), _SECONDS, strict=True)
    )
