"""The stage that looks whether records lie in the windows that were asked for: an API may ignore the bounds, or read them otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.dates import Instant, UnreadableDate, is_empty_date
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.engine.window_filter import build_time_reader, to_instant
from oauth_taskflow.specs.instant_formats import round_down, round_up
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Incremental, Window
from oauth_taskflow.templates.references import window_bounds

# Reading the time of each record would cost as much as finding the watermark.
_LOOKED_AT = 20
# Fewer may be outside by right: APIs that compare the time of a child record, or another time of the record.
_FEWEST = 10
_DAY = 86_400


class WindowWatch:
    """Warns when most records are older than the window, or none is in it. It leaves out nothing.

    Records behind the window may come by right where the API filters by another time, such as that of creation, or has no upper
    bound. Times are compared as coarsely as ``incremental.format`` writes the bounds and as the records show them.
    """

    def __init__(self, options: Incremental, *, has_end: bool) -> None:
        assert options.field is not None
        self._field, self._format = options.field, options.format
        self._column = build_column_reader(options.field)
        self._read = build_time_reader(options)
        self._has_end = has_end
        self._bounds: tuple[Instant, Instant] | None = None
        self._seen = self._older = self._newer = 0

    def begin_window(self, window: Window | None) -> None:
        """Notes that the pages of ``window`` follow."""
        if window is None:
            self._bounds = None
            return
        since, until = round_down(window.since, self._format), window.until
        since = since.replace(second=0, microsecond=0)
        until = round_up(until, self._format) + timedelta(minutes=1)
        self._bounds = to_instant(since), to_instant(until)

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Compares the times of the first records of the page, as far as they can be read, and hands all records on."""
        if self._bounds is None:
            return records
        for value in self._column(records[:_LOOKED_AT]):
            self._compare(value, *self._bounds)
        return records

    def _compare(self, value: Any, since: Instant, until: Instant) -> None:
        try:
            instant = None if is_empty_date(value) else self._read(value)
        except UnreadableDate:
            instant = None
        if instant is None:
            return
        self._seen += 1
        is_date = instant.seconds % _DAY == 0 and instant.nanoseconds == 0
        first = Instant(since.seconds // _DAY * _DAY) if is_date else since
        self._older += instant < first
        self._newer += self._has_end and instant >= until

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the warning."""
        outside = self._older + self._newer
        is_sign = 2 * self._older > self._seen or outside == self._seen
        if self._seen < _FEWEST or not is_sign:
            return summary
        bounds = "window.start and window.end" if self._has_end else "window.start"
        counts = {"before": self._older, "behind": self._newer}
        places = " and ".join(f"{count:,} are {place}" for place, count in counts.items() if count)
        text = (
            f"Of {self._seen:,} records that were looked at, {places} the window that was asked for, by their {self._field}. The API "
            f"seems to ignore {bounds}, or to compare another time, or texts of another form: records may be missing, or come in each "
            "run. Check the parameters of the request, incremental.field and incremental.format."
        )
        return replace(summary, warnings=(*summary.warnings, text))

    def save(self) -> Any:
        """Returns the counts."""
        return [self._seen, self._older, self._newer]

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the counts of the pages before."""
        self._seen, self._older, self._newer = state


def build_window_watch(endpoint: Endpoint, *, has_positions: bool) -> WindowWatch | None:
    """Returns the stage for an endpoint that sends ``window.start`` and shows the time of its records; else None.

    An API's own cursor may be sent instead of the bounds, and by stored watermarks ``first_run`` may send none.
    """
    options = endpoint.incremental
    if options is None or options.field is None or options.keep or options.cursor is not None:
        return None
    if has_positions and options.first_run is not None:
        return None
    bounds = window_bounds(msgspec.to_builtins(endpoint.request))
    return WindowWatch(options, has_end="end" in bounds) if "start" in bounds else None
