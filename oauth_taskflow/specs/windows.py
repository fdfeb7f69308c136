"""Incremental options, and the time windows in which an incremental endpoint is read.

A run reads its data interval, moved back by ``until``, begun earlier by ``lookback``, cut at ``start`` and divided into
windows of at most ``step``. Windows are half-open, ``[start, end)``; an API whose upper bound is inclusive gets the last
``unit`` before the end, and one whose lower bound is exclusive the last one before the start, so that no record falls between
two windows and none is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import (
    InstantOutOfRange,
    add_duration,
    duration_seconds,
    parse_duration,
    parse_instant,
)
from oauth_taskflow.schema.types import Duration, JmesPath, Options, doc
from oauth_taskflow.specs.export_cursor import CursorPlace, ExpiredCursor
from oauth_taskflow.specs.instant_formats import EPOCH, format_instant, round_down, round_up
from oauth_taskflow.specs.request import FirstRun


class Incremental(Options, frozen=True, kw_only=True):
    """Only what changed: in the run's data interval, or since a stored watermark (docs/incremental.md)."""

    field: Annotated[
        JmesPath | None,
        doc(
            "JMESPath of the change time in a record; its highest value is the watermark. Absent: there is no watermark.",
            "updatedAt",
        ),
    ] = None
    field_format: Annotated[
        str | Annotated[list[str], Meta(min_length=1)] | None,
        doc(
            "How records write the field: iso, date, epoch, epoch_ms, epoch_us, http, dotnet, integer, a strptime pattern, "
            "any (every form with one meaning only), or a list of them. Absent: any, and numbers as numbers.",
            "epoch",
            "%d/%m/%Y %H:%M",
            ["iso", "epoch_ms"],
        ),
    ] = None
    start: Annotated[
        str | None,
        doc(
            "Earliest instant ever asked for: ISO 8601 date or date-time, UTC unless it says otherwise; or a duration "
            "before the end of the run's interval. Runs with their own interval begin there, not here.",
            "2024-01-01",
            "-P90D",
        ),
    ] = None
    until: Annotated[
        str | None,
        doc(
            "Latest instant asked for: a duration by which every run's interval is moved back, for APIs whose newest "
            "records are not complete; or an ISO 8601 date or date-time.",
            "-PT10M",
            "2027-01-01",
        ),
    ] = None
    step: Annotated[Duration | None, doc("Longest window per request sequence.", "P7D")] = None
    lookback: Annotated[
        Duration | None, doc("Read this much before the interval again, for late updates.", "PT1H")
    ] = None
    format: Annotated[
        str,
        doc(
            "How window.start and window.end are written: iso, date, epoch, epoch_ms, epoch_us, http or a strftime pattern.",
            "iso",
            "%Y-%m-%dT%H:%M:%SZ",
            min_length=1,
        ),
    ] = "iso"
    upper: Annotated[
        Literal["exclusive", "inclusive"],
        doc(
            "Whether the API includes window.end; inclusive ends one unit earlier, or with keep leaves out here what is beyond.",
            "inclusive",
        ),
    ] = "exclusive"
    lower: Annotated[
        Literal["inclusive", "exclusive"],
        doc(
            "Whether the API includes window.start; exclusive begins one unit earlier, for parameters such as modified_after "
            "that ask for later times only.",
            "exclusive",
        ),
    ] = "inclusive"
    unit: Annotated[
        Duration,
        doc(
            "Precision of the API's timestamps, for inclusive ends and exclusive beginnings.",
            "PT1S",
        ),
    ] = "PT1S"
    keep: Annotated[
        Literal["window"] | None,
        doc(
            "Leave out records outside the window here, for an API that cannot filter by time. Raw rows still count for "
            "paging and totals.",
            "window",
        ),
    ] = None
    order: Annotated[
        Literal["newest_first"] | None,
        doc(
            "With keep: the API returns the newest records first, so paging ends where all that follows is older than "
            "the window.",
            "newest_first",
        ),
    ] = None
    missing: Annotated[
        Literal["fail", "include", "exclude"],
        doc("A record without the field; exclude, with keep, leaves it out.", "include"),
    ] = "fail"
    first_run: Annotated[
        FirstRun | None,
        doc(
            "Another request, records and paging for the run that reads from start, merged over those of the endpoint.",
            {"request": {"path": "/v1/charges"}, "records": "data"},
        ),
    ] = None
    without_interval: Annotated[
        Literal["start", "fail", "watermark"] | None,
        doc(
            "What a run without a data interval does (triggered by hand, by the API or by assets): read everything from "
            "start, fail, or read from the stored watermark of such runs. Absent: the same as start, with a warning.",
            "fail",
        ),
    ] = None
    by: Annotated[
        Literal["interval", "watermark"],
        doc(
            "interval: each run reads its data interval. watermark: each run reads from where the last one ended, which "
            "is kept in the token store's database.",
            "watermark",
        ),
    ] = "interval"
    cursor: Annotated[
        JmesPath | CursorPlace | None,
        doc(
            "With by: watermark, where the last page holds the API's own cursor: JMESPath, or a mapping. The next run "
            "sends {{ watermark.cursor }}.",
            "after_cursor",
            {"path": '"@odata.deltaLink"', "param": "$deltatoken"},
        ),
    ] = None
    expired: Annotated[
        ExpiredCursor,
        doc(
            "The answer to a cursor that the API knows no longer; everything is read again, without it.",
            {"status": 410},
        ),
    ] = ExpiredCursor()

    @property
    def keeps_watermark(self) -> bool:
        """Whether runs of the endpoint, or those without a data interval, begin at a stored watermark."""
        return self.by == "watermark" or self.without_interval == "watermark"


class Interval(Struct, frozen=True):
    """``[start, end)`` in aware UTC; without a lower bound ``start`` is absent (None).

    ``open_end``: the end is only the moment at which the run began, and the next run need not begin there.
    """

    start: datetime | None
    end: datetime
    open_end: bool = False


class Window(Struct, frozen=True):
    """One window, both as instants (UTC, half-open) and as the API wants its bounds written.

    ``start`` and ``end`` are what templates see as ``window.start`` and ``window.end``.
    """

    since: datetime
    until: datetime
    start: str | int
    end: str | int


def duration_back(text: str | None) -> str | None:
    """Returns the duration in a bound such as ``-PT10M``; None for a date, and for what is neither."""
    duration = text[1:] if text is not None and text.startswith("-") else None
    return duration if duration is not None and parse_duration(duration) is not None else None


def find_start(options: Incremental, interval: Interval) -> datetime | None:
    """Returns the earliest instant that a run of ``interval`` may ask for; None without ``options.start``.

    A duration is counted from the end of the interval, in whole seconds, so that a run tried again gets the same.
    """
    rolling = duration_back(options.start)
    if rolling is None:
        return parse_instant(options.start) if options.start is not None else None
    moment = _count_back(interval.end, rolling, "start").replace(microsecond=0)
    return round_down(moment, options.format)


def is_first_run(options: Incremental, interval: Interval) -> bool:
    """Whether a run of ``interval`` reads from ``options.start``: it names no beginning, or an earlier one.

    ``lookback`` and ``until`` make no difference: of all runs of a schedule, one is the first.
    """
    start = find_start(options, interval)
    return interval.start is None or (start is not None and interval.start <= start)


def move_interval(options: Incremental, interval: Interval) -> Interval:
    """Returns ``interval`` as ``options.until`` leaves it: moved back, or cut.

    Both ends move, so that the moved intervals of a schedule follow each other as its intervals do. An open end that
    was moved is rounded down, not up, to an instant that the format can write: what is not complete is not asked for.
    """
    back = duration_back(options.until)
    if back is not None:
        start = interval.start and _move_back(interval.start, back)
        end = _move_back(interval.end, back)
        return Interval(start, round_down(end, options.format) if interval.open_end else end)
    latest = parse_instant(options.until) if options.until is not None else None
    if latest is not None and latest <= interval.end:
        return Interval(interval.start, latest)
    return interval


def cut_windows(options: Incremental, interval: Interval) -> Iterator[Window]:
    """Yields the windows of ``interval``, oldest first; nothing when it ends before ``options.start``.

    An open end is rounded up to an instant that the format can write. Otherwise no window would cover the records since
    the last full day (or hour, or second).

    Raises:
        SpecError: neither the interval nor the options name a lower bound, or a bound is beyond the years 1 to 9999.
    """
    moved = move_interval(options, interval)
    since = _find_lower_bound(options, moved.start, find_start(options, interval))
    end = _round_end(moved.end, options.format) if moved.open_end else moved.end
    steps = 0
    lower = since
    while lower < end:
        steps += 1
        upper = end
        if options.step is not None:
            with suppress(InstantOutOfRange):  # a step behind the last day of the calendar
                upper = min(add_duration(since, options.step, steps), end)
        yield _build_window(options, lower, upper)
        lower = upper


def is_empty_window(options: Incremental, window: Window) -> bool:
    """Whether ``window``'s bounds, as the API gets them, hold nothing: they are equal and the upper one is exclusive.

    Equal bounds of an inclusive window hold one unit. With an exclusive lower one, they hold nothing by right: no time of the API,
    a multiple of its unit, is in the window.
    """
    return options.upper == "exclusive" and window.start == window.end


def write_start(options: Incremental, moment: datetime) -> str | int:
    """Returns the beginning that makes the API return records of ``moment`` and later, as it wants it written."""
    if options.lower == "exclusive":
        moment = _find_last_unit(moment, options.unit, options.format)
    return format_instant(moment, options.format)


def _find_lower_bound(
    options: Incremental, since: datetime | None, earliest: datetime | None
) -> datetime:
    if since is not None and options.lookback is not None:
        since = _count_back(since, options.lookback, "lookback")
    if since is None:
        since = earliest
    elif earliest is not None:
        since = max(since, earliest)
    if since is None:
        raise SpecError(
            ["This run has no data interval and incremental.start is not set: set one of the two."]
        )
    return since


def _move_back(moment: datetime, duration: str) -> datetime:
    """Returns ``moment`` moved back so that a later one never comes before it.

    A day that the earlier month does not have becomes the end of that month. As its last day, with its own time, the hours
    of 28 February would be asked for again on 29, 30 and 31 March.

    Raises:
        SpecError: that is beyond the years 1 to 9999.
    """
    parsed = parse_duration(duration)
    if parsed is None or not parsed.months:
        return _count_back(moment, duration, "until")
    month = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    moved = _count_back(month, duration, "until") + (moment - month)
    with suppress(InstantOutOfRange):  # December 9999 is the last month
        moved = min(moved, add_duration(add_duration(month, "P1M"), duration, -1))
    return moved


def _count_back(moment: datetime, duration: str, key: str) -> datetime:
    try:
        return add_duration(moment, duration, -1)
    except InstantOutOfRange as error:
        hint = f"Write a shorter incremental.{key}, or correct where the run begins and ends."
        raise SpecError(
            [f"incremental.{key} leads out of the calendar: {error}. {hint}"]
        ) from error


def _round_end(moment: datetime, style: str) -> datetime:
    try:
        return round_up(moment, style)
    except InstantOutOfRange as error:
        raise SpecError(
            [
                f"The run ends at {moment.isoformat()}, and incremental.format {style!r} can write no later instant of "
                "the years 1 to 9999. Let it end earlier, for example with incremental.until."
            ]
        ) from error


def _build_window(options: Incremental, lower: datetime, upper: datetime) -> Window:
    shown_end = upper
    # With keep, what the API includes beyond the window is left out here: the end need not come one unit earlier.
    if options.upper == "inclusive" and options.keep is None:
        shown_end = _find_last_unit(upper, options.unit, options.format)
        if options.lower == "inclusive":
            shown_end = max(shown_end, lower)
    return Window(
        since=lower,
        until=upper,
        start=write_start(options, lower),
        end=format_instant(shown_end, options.format),
    )


def _find_last_unit(upper: datetime, unit: str, style: str) -> datetime:
    """Returns the last time of an API, whose times are multiples of ``unit``, before the next window as ``style`` writes it.

    Next to an instant between two multiples, one unit earlier would be too early by one.

    Raises:
        SpecError: that is before the year 1.
    """
    try:
        length = timedelta(seconds=duration_seconds(unit))
        if not length or timedelta(days=1) % length:
            return upper - length
        since_epoch = round_down(upper, style) - EPOCH
        return EPOCH + -(-since_epoch // length) * length - length
    except OverflowError as error:
        raise SpecError(
            [
                f"incremental.unit leads out of the calendar: {unit} before {upper.isoformat()} is before the year 1. "
                "Write a shorter incremental.unit, or correct where the run begins and ends."
            ]
        ) from error
