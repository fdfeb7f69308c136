"""Incremental options, and the time windows in which an incremental endpoint is read.

A run reads its data interval, moved back by ``lookback``, cut at ``start`` and divided into windows of at most
``step``. Windows are half-open, ``[start, end)``; an API whose upper bound is inclusive gets an end one ``unit``
earlier, so that no record falls between two windows and none is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import add_duration, duration_seconds, parse_instant
from oauth_taskflow.schema.types import Duration, JmesPath, Options, doc


class Incremental(Options, frozen=True, kw_only=True):
    """Only what changed in the run's data interval, in windows."""

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
            "Earliest instant ever asked for: ISO 8601 date or date-time, UTC unless it says otherwise.",
            "2024-01-01",
        ),
    ] = None
    step: Annotated[Duration | None, doc("Longest window per request sequence.", "P7D")] = None
    lookback: Annotated[
        Duration | None, doc("Read this much before the interval again, for late updates.", "PT1H")
    ] = None
    format: Annotated[
        str,
        doc(
            "How window.start and window.end are written: iso, date, epoch, epoch_ms or a strftime pattern.",
            "iso",
            "%Y-%m-%dT%H:%M:%SZ",
            min_length=1,
        ),
    ] = "iso"
    upper: Annotated[
        Literal["exclusive", "inclusive"],
        doc("Whether the API includes window.end; inclusive ends one unit earlier.", "inclusive"),
    ] = "exclusive"
    unit: Annotated[
        Duration, doc("Precision of the API's timestamps, for inclusive ends.", "PT1S")
    ] = "PT1S"
    missing: Annotated[
        Literal["fail", "include"], doc("A record without the field.", "include")
    ] = "fail"
    without_interval: Annotated[
        Literal["start", "fail"] | None,
        doc(
            "What a run without a data interval does (triggered by hand, by the API or by assets): read everything from "
            "start, or fail. Absent: the same as start, with a warning.",
            "fail",
        ),
    ] = None

    NAMED_FORMATS: ClassVar[frozenset[str]] = frozenset({"iso", "date", "epoch", "epoch_ms"})


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


class Interval(Struct, frozen=True):
    """``[start, end)`` in aware UTC; ``start`` is None without a lower bound.

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


def format_instant(moment: datetime, style: str) -> str | int:
    """Writes ``moment`` as ``iso``, ``date``, ``epoch``, ``epoch_ms`` or a strftime pattern; epochs are integers."""
    utc = moment.astimezone(timezone.utc)
    if style == "iso":
        return utc.isoformat(timespec="auto").replace("+00:00", "Z")
    if style == "date":
        return utc.strftime("%Y-%m-%d")
    if style == "epoch":
        return int(utc.timestamp())
    if style == "epoch_ms":
        return int(utc.timestamp() * 1000)
    return utc.strftime(style)


@lru_cache(maxsize=256)
def find_precision(style: str) -> str | None:
    """Returns the shortest duration that changes how an instant is written, from ``PT0.000001S`` to ``P1Y``.

    None when no duration does. It is found by writing instants, because platforms differ in their strftime patterns.
    """
    sample = format_instant(_SAMPLE, style)
    return next(
        (t for t, ahead in _TICKS if format_instant(_SAMPLE + ahead, style) != sample), None
    )


@lru_cache(maxsize=256)
def varies_with_date(style: str) -> bool:
    """Whether the same time is written differently a day, a month and a year later."""
    sample = format_instant(_SAMPLE, style)
    return all(format_instant(_SAMPLE + ahead, style) != sample for _, ahead in _TICKS[5:])


def round_up(moment: datetime, style: str) -> datetime:
    """Returns the earliest instant, not before ``moment``, that ``style`` writes in full."""
    tick = find_precision(style)
    if tick is None or tick == "PT0.000001S":
        return moment
    floor = _round_down(moment.astimezone(timezone.utc), tick)
    return floor if floor == moment else add_duration(floor, tick)


def _round_down(moment: datetime, tick: str) -> datetime:
    if tick == "PT0.001S":
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    zeros = {"PT1S": 1, "PT1M": 2, "PT1H": 3}.get(tick, 4)
    floor = moment.replace(**dict.fromkeys(_ZEROS[:zeros], 0))  # type: ignore[arg-type]  # names of integers
    firsts = {"P1M": {"day": 1}, "P1Y": {"day": 1, "month": 1}}
    return floor.replace(**firsts.get(tick, {}))  # type: ignore[arg-type]  # as above


def cut_windows(options: Incremental, interval: Interval) -> Iterator[Window]:
    """Yields the windows of ``interval``, oldest first; nothing when it ends before ``options.start``.

    An open end is rounded up to an instant that the format can write. Otherwise no window would cover the records since
    the last full day (or hour, or second).

    Raises:
        SpecError: neither the interval nor the options name a lower bound.
    """
    since = _find_lower_bound(options, interval)
    end = round_up(interval.end, options.format) if interval.open_end else interval.end
    steps = 0
    lower = since
    while lower < end:
        steps += 1
        upper = end
        if options.step is not None:
            upper = min(add_duration(since, options.step, steps), end)
        yield _build_window(options, lower, upper)
        lower = upper


def is_empty_window(options: Incremental, window: Window) -> bool:
    """Whether ``window``'s bounds, as the API gets them, hold nothing: they are equal and the upper one is exclusive.

    Equal bounds of an inclusive window hold one unit.
    """
    return options.upper == "exclusive" and window.start == window.end


def _find_lower_bound(options: Incremental, interval: Interval) -> datetime:
    earliest = parse_instant(options.start) if options.start is not None else None
    since = interval.start
    if since is not None and options.lookback is not None:
        since = add_duration(since, options.lookback, -1)
    if since is None:
        since = earliest
    elif earliest is not None:
        since = max(since, earliest)
    if since is None:
        raise SpecError(
            ["This run has no data interval and incremental.start is not set: set one of the two."]
        )
    return since


def _build_window(options: Incremental, lower: datetime, upper: datetime) -> Window:
    shown_end = upper
    if options.upper == "inclusive":
        shown_end = max(upper - timedelta(seconds=duration_seconds(options.unit)), lower)
    return Window(
        since=lower,
        until=upper,
        start=format_instant(lower, options.format),
        end=format_instant(shown_end, options.format),
    )
