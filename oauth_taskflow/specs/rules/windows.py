"""Rules about windows: what an API gets for the intervals that the schedule really has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timezone
from itertools import islice

from msgspec.structs import replace

from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import add_duration, duration_length, parse_instant
from oauth_taskflow.specs.instant_formats import find_precision, varies_with_date
from oauth_taskflow.specs.model import DagSpec
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.rules.schedules import zone_of
from oauth_taskflow.specs.sample_intervals import sample_intervals
from oauth_taskflow.specs.windows import (
    Incremental,
    Interval,
    Window,
    cut_windows,
    is_empty_window,
)

# Cron has no shorter interval than a minute, so what shows minutes shows its intervals apart.
_FINE = frozenset({"PT0.000001S", "PT0.001S", "PT1S", "PT1M"})
_DAYS = re.compile(r"@(daily|weekly|monthly|quarterly|yearly)|\d+ \d+ .*", re.ASCII)
_MOST_WINDOWS = 40
_STEPS = 64


@endpoint_rule("empty-window", about="incremental")
def empty_window(view: EndpointView) -> Findings:
    """The bounds of an interval or step come out equal, so the API finds nothing between them and the run reads 0 records.

    Found by writing the bounds of real intervals of the schedule, days on which clocks change included. Only where the
    request sends both `window.start` and `window.end`.

    Bad: `schedule: "@hourly"` with `incremental: {format: date, ...}`

    Good: `schedule: "@daily"` with the same, or `incremental: {format: date, lookback: P1D, ...}`
    """
    options = view.endpoint.incremental
    if options is None or view.sent_bounds != {"start", "end"} or options.upper == "inclusive":
        return
    if options.format == "iso":
        return  # it shows all there is, and cron's parser need not be loaded
    for window in _sample_windows(options, view.source):
        if is_empty_window(options, window):
            since, until = window.since.isoformat(), window.until.isoformat()
            message = (
                f"the window from {since} to {until} is written {window.start!r} to {window.end!r}"
            )
            hint = "Take a finer format, a longer schedule or step, or a lookback as long as what the format shows."
            yield Finding(("incremental",), message, hint)
            return


@endpoint_rule("repeated-window", "warning", about="incremental")
def repeated_window(view: EndpointView) -> Findings:
    """Windows shorter than the unit: each asks for the whole unit, so its records are read again and again.

    Bad: `schedule: "@hourly"` with `incremental: {format: date, upper: inclusive, unit: P1D, ...}`

    Good: `schedule: "@daily"` with the same
    """
    options = view.endpoint.incremental
    if options is None or view.sent_bounds != {"start", "end"} or options.upper == "exclusive":
        return
    if options.keep is not None or options.lower == "exclusive":
        return  # it is read again and left out here, or the shorter windows ask for nothing
    unit = duration_length(options.unit) or 0.0
    for window in _sample_windows(options, view.source):
        if (window.until - window.since).total_seconds() < unit and window.start == window.end:
            message = (
                f"the window from {window.since.isoformat()} to {window.until.isoformat()} is shorter than the unit "
                f"{options.unit}, so all of {window.start!r} is read by each run in it"
            )
            yield Finding(
                ("incremental",), message, "Take a longer schedule or step, or a finer unit."
            )
            return


@endpoint_rule("inclusive-unit", "warning", about="incremental")
def inclusive_unit(view: EndpointView) -> Findings:
    """An inclusive end lies one unit before the next window; where the API's times are finer, records between are lost.

    The default unit is a second. An API with milliseconds or microseconds would lose the last second of each window.
    Write the unit that its timestamps show, `unit: PT1S` included. Where the format shows seconds only and the API
    has fractions, write `upper: exclusive`: a record on the bound is read twice, and none is lost.

    Bad: `incremental: {upper: inclusive, field: updatedAt, ...}`

    Good: the same with `unit: PT0.001S`, or with `unit: PT1S` where times are whole seconds
    """
    options = view.endpoint.incremental
    if options is None or options.upper == "exclusive" or "end" not in view.sent_bounds:
        return
    if options.keep is not None:
        return  # what the API includes beyond the window is left out here
    raw = view.raw.get("incremental")
    written = isinstance(raw, dict) and raw.get("unit") is not None
    fine = find_precision(options.format)
    if written or fine is None or fine not in _FINE - {"PT1M"}:
        return
    hint = (
        "Write the unit of its times: unit: PT0.001S, or unit: PT1S when they are whole seconds."
        if fine != "PT1S"
        else "Write unit: PT1S when its times are whole seconds, else upper: exclusive or a format with fractions."
    )
    message = (
        "the unit of the API's times is not written: with fractions of a second, records are lost"
    )
    yield Finding(("incremental",), message, hint)


@endpoint_rule("no-data-interval", "warning", about="incremental")
def no_data_interval(view: EndpointView) -> Findings:
    """Runs without a data interval read everything from `start` again, each of them.

    A DAG has such runs only when its schedule is null or assets. `without_interval` says that this is meant (`start`),
    or that such a run shall fail (`fail`). Runs of other schedules that are triggered by hand do the same; they log it.

    Bad: `schedule: null` with `incremental: {field: updatedAt, start: 2024-01-01}`

    Good: `schedule: "@daily"`, or the same with `without_interval: start`
    """
    options = view.endpoint.incremental
    if options is None or options.without_interval is not None or has_intervals(view.source):
        return
    if options.start is None or options.keeps_watermark:
        return  # the rule incremental-without-start says more; a stored watermark needs no interval
    message = f"no run of this schedule has a data interval, so each reads everything from {options.start}"
    hint = "Give the DAG a schedule, or write without_interval: start if that is meant."
    yield Finding(("incremental",), message, hint)


def has_intervals(source: DagSpec) -> bool:
    """Whether runs of the schedule have a logical date; ``@once`` and ``@continuous`` do, though no interval.

    One run that reads everything is what ``@once`` is for.
    """
    schedule = source.schedule
    return isinstance(schedule, str) and schedule != "@continuous"


_DATES = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "logical_date"})
_BOUNDS = frozenset({"data_interval_start", "data_interval_end"})


@endpoint_rule("name-needs-interval", "warning")
def name_needs_interval(view: EndpointView) -> Findings:
    """Names of the logical date and of the data interval are missing in runs by hand or by assets: the task fails.

    Bad: `schedule: null` with `params: {day: "{{ ds }}"}`

    Good: `params: {day: "{{ run_after.strftime('%Y-%m-%d') }}"}`, or `"{{ window.start }}"` with `incremental`
    """
    if isinstance(view.source.schedule, str):
        return
    for path, template in [*view.request_templates, *view.destination_templates]:
        names = sorted({name for name, _ in template.references} & (_DATES | _BOUNDS))
        if names:
            hint = (
                "Write \"{{ run_after.strftime('%Y-%m-%d') }}\": every run has it."
                if _DATES.issuperset(names)
                else 'Write "{{ window.start }}" with incremental, or "{{ run_after }}".'
            )
            shown = ", ".join(names)
            message = f"{shown} is missing in runs of this schedule that are not triggered with a logical date"
            yield Finding(path, message, hint)


def _sample_windows(options: Incremental, source: DagSpec) -> Iterator[Window]:
    fine = find_precision(options.format)
    if fine is None or (
        fine in _FINE and varies_with_date(options.format) and options.step is None
    ):
        return
    step = duration_length(options.step or "P1Y") or 0.0
    if step < (duration_length(fine) or 0.0):
        return  # the rule unit-vs-format says so
    unbounded = replace(options, start=None)
    for interval in _sample_intervals(source, fine, options.step):
        yield from _try(unbounded, interval)
    if options.step is not None and (start := parse_instant(options.start or "")) is not None:
        # A run without an interval steps from the very start.
        with suppress(ValueError, OverflowError):  # the year 9999 leaves no room for the steps
            end = add_duration(start, options.step, _STEPS)
            yield from _try(options, Interval(None, end, open_end=True))


def _sample_intervals(source: DagSpec, fine: str, step: str | None) -> Iterator[Interval]:
    zone = zone_of(source.timezone) or timezone.utc
    daily = isinstance(source.schedule, str) and _DAYS.fullmatch(source.schedule)
    if daily and zone is timezone.utc and fine == "P1D" and step is None:
        return iter(())  # a day of UTC never begins and ends on one date
    return sample_intervals(source, zone)


def _try(options: Incremental, interval: Interval) -> Iterator[Window]:
    try:
        yield from islice(cut_windows(options, interval), _MOST_WINDOWS)
    except (SpecError, ValueError, OverflowError):
        return  # other rules say what is wrong with a step or a date
