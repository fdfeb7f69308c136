"""The time windows an incremental endpoint is read in.

A run reads its data interval, moved back by ``lookback``, cut at ``start`` and divided into windows of at most
``step``. Windows are half-open, ``[start, end)``; an API whose upper bound is inclusive gets an end one ``unit``
earlier, so that no record falls between two windows and none is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from oauth_taskflow.api.options import Incremental
from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import add_duration, duration_seconds, parse_instant


@dataclass(frozen=True)
class Interval:
    """``[start, end)`` in aware UTC; ``start`` None means that there is no lower bound."""

    start: datetime | None
    end: datetime


@dataclass(frozen=True)
class Window:
    """One window, both as instants (UTC, half-open) and as the API wants its bounds written.

    ``start`` and ``end`` are what templates see as ``window.start`` and ``window.end``.
    """

    since: datetime
    until: datetime
    start: str | int
    end: str | int


def format_instant(moment: datetime, style: str) -> str | int:
    """``moment`` as ``iso``, ``date``, ``epoch``, ``epoch_ms`` or a strftime pattern says; epochs are integers."""
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


def windows(options: Incremental, interval: Interval) -> Iterator[Window]:
    """The windows of ``interval``, oldest first; none when it ends before ``options.start``.

    Raises:
        SpecError: neither the interval nor the options name a lower bound.
    """
    since = _lower_bound(options, interval)
    steps = 0
    lower = since
    while lower < interval.end:
        steps += 1
        upper = interval.end
        if options.step is not None:
            upper = min(add_duration(since, options.step, steps), interval.end)
        yield _window(options, lower, upper)
        lower = upper


def _lower_bound(options: Incremental, interval: Interval) -> datetime:
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


def _window(options: Incremental, lower: datetime, upper: datetime) -> Window:
    shown_end = upper
    if options.upper == "inclusive":
        shown_end = max(upper - timedelta(seconds=duration_seconds(options.unit)), lower)
    return Window(
        since=lower,
        until=upper,
        start=format_instant(lower, options.format),
        end=format_instant(shown_end, options.format),
    )
