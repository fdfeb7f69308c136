"""How instants are written into requests: named forms and strftime patterns, and what each of them can show."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from oauth_taskflow.iso8601 import add_duration

NAMED_FORMATS = frozenset({"iso", "date", "epoch", "epoch_ms", "epoch_us", "http"})
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNITS = {
    "epoch": timedelta(seconds=1),
    "epoch_ms": timedelta(milliseconds=1),
    "epoch_us": timedelta(microseconds=1),
}
_CODE = re.compile("%.", re.DOTALL)
# Not by strftime, whose names depend on the language of the machine.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Finest first: each duration, and how long it lasts after 1 January 2026.
_TICKS = (
    ("PT0.000001S", timedelta(microseconds=1)),
    ("PT0.001S", timedelta(milliseconds=1)),
    ("PT1S", timedelta(seconds=1)),
    ("PT1M", timedelta(minutes=1)),
    ("PT1H", timedelta(hours=1)),
    ("P1D", timedelta(days=1)),
    ("P1M", timedelta(days=31)),
    ("P1Y", timedelta(days=365)),
)
_SAMPLE = datetime(2026, 1, 1, tzinfo=timezone.utc)
_ZEROS = ("microsecond", "second", "minute", "hour")


def format_instant(moment: datetime, style: str) -> str | int:
    """Writes ``moment`` in UTC: as one of ``NAMED_FORMATS`` or a strftime pattern; epochs are integers, rounded down."""
    utc = moment.astimezone(timezone.utc)
    if style == "iso":
        return utc.isoformat(timespec="auto").replace("+00:00", "Z")
    if style == "date":
        return utc.date().isoformat()  # strftime leaves out the zeros of the year 1
    if style in _UNITS:
        return (utc - EPOCH) // _UNITS[style]
    if style == "http":
        day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
        return f"{day}, {utc.day:02d} {month} {utc.year:04d} {utc:%H:%M:%S} GMT"
    return utc.strftime(_CODE.sub(lambda code: _write_code(utc, code[0]), style))


def _write_code(utc: datetime, code: str) -> str:
    """Returns ``code``, or what stands for it: platforms count ``%s`` in the time zone of the machine."""
    return str((utc - EPOCH) // _UNITS["epoch"]) if code == "%s" else code


@lru_cache(maxsize=256)
def find_precision(style: str) -> str | None:
    """Returns the shortest duration that changes how an instant is written, from ``PT0.000001S`` to ``P1Y``.

    None when no duration does, or where ``strftime`` refuses the pattern, as on Windows. It is found by writing instants,
    because platforms differ in their patterns.
    """
    try:
        sample = format_instant(_SAMPLE, style)
        return next(
            (t for t, ahead in _TICKS if format_instant(_SAMPLE + ahead, style) != sample), None
        )
    except ValueError:
        return None


@lru_cache(maxsize=256)
def varies_with_date(style: str) -> bool:
    """Whether the same time is written differently a day, a month and a year later."""
    sample = format_instant(_SAMPLE, style)
    return all(format_instant(_SAMPLE + ahead, style) != sample for _, ahead in _TICKS[5:])


def round_down(moment: datetime, style: str) -> datetime:
    """Returns the latest instant, not after ``moment``, that ``style`` writes in full."""
    tick = find_precision(style)
    if tick is None or tick == "PT0.000001S":
        return moment
    return _cut(moment.astimezone(timezone.utc), tick)


def round_up(moment: datetime, style: str) -> datetime:
    """Returns the earliest instant, not before ``moment``, that ``style`` writes in full."""
    floor = round_down(moment, style)
    return floor if floor == moment else add_duration(floor, find_precision(style) or "PT0S")


def _cut(moment: datetime, tick: str) -> datetime:
    if tick == "PT0.001S":
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    zeros = {"PT1S": 1, "PT1M": 2, "PT1H": 3}.get(tick, 4)
    floor = moment.replace(**dict.fromkeys(_ZEROS[:zeros], 0))  # type: ignore[arg-type]  # names of integers
    firsts = {"P1M": {"day": 1}, "P1Y": {"day": 1, "month": 1}}
    return floor.replace(**firsts.get(tick, {}))  # type: ignore[arg-type]  # as above
