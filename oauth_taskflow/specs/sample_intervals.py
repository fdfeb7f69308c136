"""Real data intervals of a schedule, to try a spec's windows on before any run does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import islice, pairwise

from oauth_taskflow.iso8601 import InstantOutOfRange, add_duration, parse_duration, parse_instant
from oauth_taskflow.specs.model import DagSpec
from oauth_taskflow.specs.windows import Interval

_PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
# Enough for every hour of two days, every day of two months, and each place of a long list of times.
_EACH = 64
# One time of day: all intervals are alike but for those in which clocks change.
_ONCE_A_DAY = re.compile(r"\d+ \d+ ", re.ASCII)
_FEW = 4
_YEAR = 2026


def sample_intervals(source: DagSpec, zone: tzinfo) -> Iterator[Interval]:
    """Consecutive intervals of ``source``'s schedule: from a fixed date, and around each change of the zone's clock.

    None for a schedule without intervals (null, assets, ``@once``, ``@continuous``), or one that is not valid.
    """
    schedule = source.schedule
    if not isinstance(schedule, str) or schedule in {"@once", "@continuous"}:
        return
    duration = parse_duration(schedule)
    if duration is not None:
        yield from _duration_intervals(source, schedule, zone)
        return
    cron = _PRESETS.get(schedule, schedule)
    most = _FEW if _ONCE_A_DAY.match(cron) else _EACH
    yield from _cron_intervals(cron, datetime(_YEAR, 1, 1, tzinfo=timezone.utc), zone, most)
    for begin in _clock_changes(zone):
        yield from _cron_intervals(cron, begin, zone, _FEW)


def _duration_intervals(source: DagSpec, schedule: str, zone: tzinfo) -> Iterator[Interval]:
    begin = parse_instant(source.start_date or "", zone) or datetime(_YEAR, 1, 1, tzinfo=zone)
    edges = (add_duration(begin, schedule, times) for times in range(_EACH + 1))
    with suppress(
        InstantOutOfRange, OverflowError
    ):  # a long schedule has few intervals before the year 9999
        for start, end in pairwise(edge.astimezone(timezone.utc) for edge in edges):
            if start < end:
                yield Interval(start, end)


@lru_cache(maxsize=1024)
def _cron_intervals(cron: str, begin: datetime, zone: tzinfo, most: int) -> tuple[Interval, ...]:
    from croniter import CroniterError, croniter  # noqa: PLC0415  # only schedules with a coarse format come here

    # On the wall clock, as Airflow steps: a zone-aware croniter treats changes of the clock differently.
    wall = begin.astimezone(zone).replace(tzinfo=None) - timedelta(minutes=1)
    try:
        steps = croniter(cron, wall).all_next(datetime)
        edges = [step.replace(tzinfo=zone).astimezone(timezone.utc) for step in islice(steps, most)]
    except (CroniterError, ValueError, LookupError, TypeError, OverflowError):
        return ()  # the rule bad-cron says so
    return tuple(Interval(start, end) for start, end in pairwise(edges) if start < end)


@lru_cache(maxsize=256)
def _clock_changes(zone: tzinfo) -> tuple[datetime, ...]:
    """Two days before each day of a year on which the zone's offset from UTC changes."""
    if zone is timezone.utc:
        return ()
    days = [datetime(_YEAR, 1, 1, 12, tzinfo=zone) + timedelta(days=day) for day in range(366)]
    return tuple(
        before - timedelta(days=2)
        for before, after in pairwise(days)
        if before.utcoffset() != after.utcoffset()
    )
