"""ISO 8601 instants and durations as texts, without the cost of a date library at DAG-parse time."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{3}|\.\d{6})?)?(Z|[+-]\d{2}:\d{2})?)?\Z",
    re.ASCII,
)
_DURATION = re.compile(
    r"P(?=.)(?:(\d{1,12})Y)?(?:(\d{1,12})M)?(?:(\d{1,12})W)?(?:(\d{1,12})D)?"
    r"(?:T(?=.)(?:(\d{1,12})H)?(?:(\d{1,12})M)?(?:(\d{1,12}(?:\.\d{1,12})?)S)?)?\Z",
    re.ASCII,
)
# Seconds, a hundred years. Dates and waits overflow long after this, so nothing useful is lost.
LONGEST_DURATION = 100 * 365 * 86400.0
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_YEAR, _MONTH, _WEEK, _DAY, _HOUR, _MINUTE = 365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60


class InstantOutOfRange(ValueError):
    """Arithmetic led to an instant beyond the years 1 to 9999, which no date can show."""


class Duration(NamedTuple):
    """A span of time: calendar ``months``, whose length varies, and ``seconds``, whose length does not."""

    months: int
    seconds: float

    @property
    def length(self) -> float:
        """The approximate length in seconds: a year counts 365 days, a month 30."""
        years, months = divmod(self.months, 12)
        return years * _YEAR + months * _MONTH + self.seconds


def instant_text(seconds: float) -> str:
    """``seconds`` since the epoch as an instant of UTC, in whole seconds: 2026-01-31T06:00:00Z."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@lru_cache(maxsize=4096)
def find_day(year: int, month: int, day: int) -> int | None:
    """The number of the day, counted from 1970-01-01; None for a day that does not exist."""
    try:
        return date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _day_text(number: int) -> str:
    return date.fromordinal(number + _EPOCH_DAY).isoformat()


def utc_text(seconds: int) -> str:
    """The second ``seconds`` after the epoch in UTC, without a zone: 2026-01-31T06:00:00. Days are kept, as they repeat."""
    day, rest = divmod(seconds, 86_400)
    minutes, second = divmod(rest, 60)
    return f"{_day_text(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"


def parse_instant(text: str, zone: tzinfo = timezone.utc) -> datetime | None:
    """``text`` as an aware instant, in ``zone`` when it names no zone; None when it is not an ISO 8601 date of the years 1 to 9999.

    Accepts only the forms that every supported Python reads: 2026-01-31, 2026-01-31T06:00, with seconds, milli- or
    microseconds, ``Z`` or an offset like +02:00.
    """
    if not _DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # or in UTC it is in the year 0 or 10000
        return None
    return moment


@lru_cache(maxsize=512)
def parse_duration(text: str) -> Duration | None:
    """The duration in ``text``, such as P7D, P1M or PT1.5S; None when it is not an ISO 8601 duration."""
    match = _DURATION.match(text)
    if match is None:
        return None
    years, months, weeks, days, hours, minutes, seconds = (float(p or 0) for p in match.groups())
    fixed = weeks * _WEEK + days * _DAY + hours * _HOUR + minutes * _MINUTE + seconds
    return Duration(int(years) * 12 + int(months), fixed)


def duration_length(text: str) -> float | None:
    """The approximate length of ``text`` in seconds (``Duration.length``); None when it is not an ISO 8601 duration."""
    duration = parse_duration(text)
    return None if duration is None else duration.length


def duration_seconds(text: str) -> float:
    """The length of an ISO 8601 duration in seconds; a year counts 365 days, a month 30.

    For waits and periods only. Windows step in calendar units, see ``add_duration``.

    Raises:
        ValueError: ``text`` is not an ISO 8601 duration.
    """
    length = duration_length(text)
    if length is None:
        msg = f"{text!r} is not an ISO 8601 duration such as PT30S"
        raise ValueError(msg)
    return length


def add_duration(moment: datetime, text: str, times: int = 1) -> datetime:
    """``moment`` plus ``times`` durations, counted from ``moment`` itself.

    31 January plus two months is 31 March; adding one month twice would give 28 March. A day that the resulting month
    does not have becomes its last day.

    Raises:
        InstantOutOfRange: the result is beyond the years 1 to 9999.
        ValueError: ``text`` is not a duration.
    """
    duration = parse_duration(text)
    if duration is None:
        msg = f"{text!r} is not an ISO 8601 duration such as P1M"
        raise ValueError(msg)
    year, month = divmod(moment.year * 12 + moment.month - 1 + duration.months * times, 12)
    try:
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        stepped = moment.replace(year=year, month=month + 1, day=day)
        return stepped + timedelta(seconds=duration.seconds * times)
    except (ValueError, OverflowError):
        sign = "after" if times >= 0 else "before"
        count = "" if abs(times) == 1 else f"{abs(times)} times "
        raise InstantOutOfRange(
            f"{count}{text} {sign} {moment.isoformat()} is beyond the years 1 to 9999"
        ) from None
