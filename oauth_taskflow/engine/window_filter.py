"""Client-side windows: the stage that leaves out records outside the window, and the end of pages newest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.api.pull.missing_fields import missing_field_error, unreadable_time_error
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.dates import (
    EPOCH,
    Instant,
    Reader,
    UnreadableDate,
    are_sortable_texts,
    build_reader,
    is_empty_date,
)
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.specs.windows import Incremental, Window

# One record may be out of order; two older ones in a row are the order of the API.
_OLDER_IN_A_ROW = 2


class WindowStage:
    """Keeps the records whose time is in ``[since, until)`` of their window, and counts the others."""

    def __init__(self, options: Incremental) -> None:
        assert options.field is not None
        self._field = options.field
        self._missing = options.missing
        self._column = build_column_reader(options.field)
        self._read = build_time_reader(options)
        self._bounds = (Instant(0), Instant(0))
        self._window: Window | None = None
        self._left_out = 0

    def begin_window(self, window: Window | None) -> None:
        """Notes that the pages of ``window`` follow."""
        self._window = window
        if window is not None:
            self._bounds = to_instant(window.since), to_instant(window.until)

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Hands on the records inside the window.

        Raises:
            InvalidRecord: the field is absent (unless ``missing`` says what that means) or no instant.
        """
        if self._window is None or not records:
            return records
        values = self._column(records)
        if set(map(type, values)) == {str} and are_sortable_texts(values):
            lower, upper = (_write_bound(bound, len(values[0])) for bound in self._bounds)
            kept = [
                record
                for record, value in zip(records, values, strict=True)
                if lower <= value < upper
            ]
        else:
            kept = [
                record
                for record, value in zip(records, values, strict=True)
                if self._is_inside(record, value)
            ]
        self._left_out += len(records) - len(kept)
        return kept

    def _is_inside(self, record: Any, value: Any) -> bool:
        if is_empty_date(value):
            if self._missing == "fail":
                hint = "Correct incremental.field, or set incremental.missing: include or exclude."
                raise missing_field_error(record, self._field, "incremental.field", hint)
            return self._missing == "include"
        try:
            instant = self._read(value)
        except UnreadableDate as error:
            raise unreadable_time_error(self._field, value, f": {error.reason}") from error
        return self._bounds[0] <= instant < self._bounds[1]

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the number of records left out."""
        return replace(summary, outside=self._left_out)

    def save(self) -> Any:
        """Returns the number of records left out."""
        return self._left_out

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the number of the pages before."""
        self._left_out = state


class OlderPages:
    """Recognises the page of a newest-first list after which every record is older than the window.

    That is a page whose records are in order, newest first, and whose last two are older; or one all of whose records are
    older. One record out of its place, and older records pinned to the top, therefore end nothing. Where a time is
    missing or cannot be read, reading goes on.
    """

    def __init__(self, options: Incremental, window: Window) -> None:
        assert options.field is not None
        self._column = build_column_reader(options.field)
        self._read = build_time_reader(options)
        self._since = to_instant(window.since)
        self._oldest: Instant | None = None
        self._older = 0

    def __call__(self, records: Sequence[Any]) -> bool:
        """See ``is_last``."""
        return self.is_last(records)

    def is_last(self, records: Sequence[Any]) -> bool:
        """Takes the records of the next page, as the API returned them, and returns whether all that follow are older."""
        times = [self._try_reading(value) for value in self._column(records)]
        if not times:
            return False
        count = sum(1 for _ in takewhile(self._is_older, reversed(times)))
        self._older = self._older + count if count == len(times) else count
        in_order = self._are_in_order(times)
        self._oldest = times[-1]
        return self._older >= _OLDER_IN_A_ROW and (in_order or count == len(times))

    def save(self) -> Any:
        """Returns the last time and the number of older records in a row."""
        return [*(self._oldest or ()), self._older]

    def restore(self, state: Any) -> None:
        """Goes on after the pages that ``state`` describes."""
        *oldest, self._older = state
        self._oldest = Instant(*oldest) if oldest else None

    def _is_older(self, time: Instant | None) -> bool:
        return time is not None and time < self._since

    def _are_in_order(self, times: Sequence[Instant | None]) -> bool:
        before = times if self._oldest is None else [self._oldest, *times]
        return all(a is not None and b is not None and a >= b for a, b in pairwise([*before]))

    def _try_reading(self, value: Any) -> Instant | None:
        if is_empty_date(value):
            return None
        try:
            return self._read(value)
        except UnreadableDate:
            return None


def find_page_end(
    options: Incremental | None, window: Window | None
) -> Callable[[list[Any]], bool] | None:
    """Returns the function that recognises the last page wanted of ``window``; None where all pages are read."""
    if options is None or window is None or options.order != "newest_first":
        return None
    return OlderPages(options, window)


def build_time_reader(options: Incremental) -> Reader:
    """Returns the function that reads the time of a record in ``field_format``; it raises ``UnreadableDate``."""
    form = options.field_format or "any"
    return build_reader(form if isinstance(form, str) else tuple(form))


def to_instant(moment: datetime) -> Instant:
    """Returns an aware ``moment`` as records' times are read."""
    seconds, rest = divmod(moment - EPOCH, timedelta(seconds=1))
    return Instant(seconds, rest // timedelta(microseconds=1) * 1000)


def _write_bound(bound: Instant, length: int) -> str:
    """Writes the first instant from ``bound`` on that a text of ``length`` can show: such texts compare as instants do."""
    digits = max(length - len("2026-01-31T06:00:00.Z"), 0)
    unit = 10 ** (9 - digits)
    seconds, nanoseconds = divmod(-(-bound.nanoseconds // unit) * unit, 10**9)
    try:
        whole = (EPOCH + timedelta(seconds=bound.seconds + seconds)).isoformat()[:19]
    except OverflowError:  # behind the last second of the year 9999
        return "9" * length
    return f"{whole}.{nanoseconds:09d}"[: 20 + digits] + "Z" if digits else f"{whole}Z"
