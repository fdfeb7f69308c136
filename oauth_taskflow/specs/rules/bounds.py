"""Rules about the earliest and the latest instant that an incremental endpoint asks for."""

from __future__ import annotations

from datetime import timezone
from itertools import islice

from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import LONGEST_DURATION, duration_length, parse_instant
from oauth_taskflow.specs.instant_formats import round_down
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.rules.schedules import zone_of
from oauth_taskflow.specs.sample_intervals import sample_intervals
from oauth_taskflow.specs.windows import duration_back, find_start

_MOST_INTERVALS = 200


@endpoint_rule("bad-date", about="incremental")
def incremental_bounds(view: EndpointView) -> Findings:
    """A date that does not exist, or not in ISO 8601 form. `start` and `until` may also be durations back in time.

    Bad: `start_date: 2026-02-30`, `start: P90D`

    Good: `start_date: 2026-02-28`, `start: 2026-02-28T06:00:00Z`, `start: -P90D`
    """
    incremental = view.endpoint.incremental
    for key in ("start", "until"):
        text = getattr(incremental, key, None)
        if text is None or parse_instant(text) is not None:
            continue
        length = duration_length(duration_back(text) or "")
        at = ("incremental", key)
        if length is None and text[:1] in {"-", "+", "P"}:
            message = f"{text!r} is not a duration back in time"
            yield Finding(at, message, "Write it as -P90D or -PT10M; or as a date.")
        elif length is None:
            hint = "Write it as 2026-01-31 or 2026-01-31T06:00:00Z."
            yield Finding(at, f"{text!r} is not a date", hint)
        elif not 0 < length <= LONGEST_DURATION:
            which = "is longer than a hundred years" if length else "is nothing"
            yield Finding(at, f"the duration {which}", "Write -P90D or -PT10M.")


@endpoint_rule("start-after-end", about="incremental")
def incremental_start_after_until(view: EndpointView) -> Findings:
    """A DAG whose end is before its start never runs; an endpoint that starts after the DAG's end reads nothing.

    `until` is an end, too: a rolling `start` must be further back than a rolling `until`.

    Bad: `incremental: {start: 2026-07-01, until: 2026-06-01}`, `incremental: {start: -PT5M, until: -PT10M}`

    Good: `incremental: {start: 2026-06-01, until: 2026-07-01}`, `incremental: {start: -P90D, until: -PT10M}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.start is None or incremental.until is None:
        return
    start, until = parse_instant(incremental.start), parse_instant(incremental.until)
    begins_back = duration_length(duration_back(incremental.start) or "")
    ends_back = duration_length(duration_back(incremental.until) or "")
    is_over = start is not None and until is not None and start >= until
    is_reversed = begins_back is not None and ends_back is not None and begins_back <= ends_back
    if is_over or is_reversed:
        message = f"start {incremental.start} is not before until {incremental.until}"
        yield Finding(("incremental", "until"), message, "Write an earlier start or a later until.")


@endpoint_rule("unit-vs-format", about="incremental")
def until_vs_format(view: EndpointView) -> Findings:
    """Window ends are cut to the precision of the format: a finer unit, step or end loses or repeats what is between.

    Bad: `incremental: {format: date, until: "2026-06-01T12:00:00Z", ...}`

    Good: `incremental: {format: date, until: 2026-06-01, ...}`
    """
    incremental = view.endpoint.incremental
    latest = parse_instant((incremental and incremental.until) or "")
    if incremental is None or latest is None or "end" not in view.sent_bounds:
        return
    if round_down(latest, incremental.format) != latest:
        message = f"until {incremental.until} is finer than the format {incremental.format!r} shows"
        hint = "Write a coarser until, such as a whole day for dates, or a finer format."
        yield Finding(("incremental", "until"), message, hint)


@endpoint_rule("start-within-interval", "warning", about="incremental")
def start_within_interval(view: EndpointView) -> Findings:
    """A rolling start later than the beginning of the schedule's intervals: no run ever reads what is between them.

    Bad: `schedule: "@weekly"` with `incremental: {start: -P1D, ...}`

    Good: `schedule: "@weekly"` with `incremental: {start: -P90D, ...}`
    """
    options = view.endpoint.incremental
    if options is None or not duration_length(duration_back(options.start) or ""):
        return
    zone = zone_of(view.source.timezone) or timezone.utc
    for interval in islice(sample_intervals(view.source, zone), _MOST_INTERVALS):
        try:
            start = find_start(options, interval)
        except (SpecError, ValueError):  # the rules about dates and durations say so
            return
        if interval.start is not None and start is not None and start > interval.start:
            message = (
                f"in the interval from {interval.start.isoformat()} to {interval.end.isoformat()} a run reads from "
                f"{start.isoformat()} only"
            )
            hint = "Write a start at least as far back as the schedule's longest interval."
            yield Finding(("incremental", "start"), message, hint)
            return
