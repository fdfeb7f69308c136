"""Reads a window past the cap of an API: in narrower windows, or again from the value of the last record on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import structs

from oauth_taskflow.api.pull.caps.walk import Restart
from oauth_taskflow.api.pull.marks import PageMark, PartsMark, SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.dates import UnreadableDate, read_instant
from oauth_taskflow.engine.page_requests import build_first_request
from oauth_taskflow.errors import CapReached, InvalidRecord, PaginationLimit
from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.record_values import show_value
from oauth_taskflow.specs.instant_formats import EPOCH, format_instant, round_down, round_up
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import (
    Incremental,
    Interval,
    Window,
    cut_windows,
    is_empty_window,
    write_start,
)


class Read(Protocol):
    """Reads the pages of one request, and those that a restart makes necessary; after those that ``resume`` describes."""

    def __call__(
        self,
        request: ApiRequest,
        *,
        restart: Restart | None = None,
        resume: SequenceState | None = None,
    ) -> Generator[Page, None, None]:
        """Yields the pages."""


_SECOND = timedelta(seconds=1)
_FINEST = timedelta(microseconds=1)


def read_past_cap(
    endpoint: Endpoint,
    context: Mapping[str, Any],
    window: Window | None,
    read: Read,
    *,
    resume: SequenceState | None = None,
) -> Generator[Page, None, None]:
    """Yields the pages that ``read`` gives for the request of ``window``, and for the requests that a cap makes necessary.

    ``context`` has the template names of the request, the window among them. Pages of a narrowed window have it as their
    ``part``: with ``keep``, the API is asked for more than that, and another part has the rest. The last page of a part has
    the parts that are left as its mark, from which ``resume`` goes on.

    Raises:
        PaginationLimit: the API shows fewer rows than an instant has, so that no narrower window helps.
    """
    cap = endpoint.paginate.cap if endpoint.paginate is not None else None
    if cap is None or window is None or cap.then != "narrow":
        restart = None if cap is None else _build_restart(endpoint, context, window)
        resume = resume if cap is None else None
        yield from read(build_first_request(endpoint, context), restart=restart, resume=resume)
        return
    left = resume.parts if resume is not None else None
    pending = [window] if left is None else _read_parts(endpoint, left)
    yield from _read_narrowed(endpoint, context, pending, read)


def _read_narrowed(
    endpoint: Endpoint, context: Mapping[str, Any], pending: list[Window], read: Read
) -> Generator[Page, None, None]:
    while pending:
        part = pending.pop()
        request = build_first_request(endpoint, {**context, "window": write_bounds(part)})
        has_pages, capped = yield from _read_part(read(request), part, pending)
        if capped is not None:
            halves = _halve(endpoint, part, capped, has_pages=has_pages)
            pending += reversed(halves)


def _read_part(
    pages: Generator[Page, None, None], part: Window, pending: Sequence[Window]
) -> Generator[Page, None, tuple[bool, CapReached | None]]:
    """Yields the pages of ``part``; returns whether there were any, and the cap that ended them."""
    has_pages = False
    with closing(pages):
        try:
            for page in pages:
                has_pages = True
                yield replace(page, mark=_mark_end(page.mark, pending), part=part)
        except CapReached as error:
            return has_pages, error
    return has_pages, None


def _mark_end(mark: object, pending: Sequence[Window]) -> PartsMark | None:
    """Returns the mark of a part's last page; None for other pages, since parts are gone on with whole."""
    if not isinstance(mark, PageMark) or mark.request is not None:
        return None
    return PartsMark(_write_parts(pending), mark)


def _halve(
    endpoint: Endpoint, part: Window, capped: CapReached, *, has_pages: bool
) -> tuple[Window, Window]:
    if has_pages and endpoint.primary_key is None:
        raise PaginationLimit(
            f"{capped.what}; its pages were read before that was known",
            where=capped.where,
            hint="Write primary_key, so that they can be read again in parts, or a total that page one announces.",
        ) from capped
    assert endpoint.incremental is not None
    halves = split_window(endpoint.incremental, part)
    if halves is None:
        raise PaginationLimit(
            f"{capped.what}, and the window from {part.start!r} to {part.end!r} cannot be narrower",
            where=capped.where,
            hint="Narrow the request by another parameter, for example with for_each, or write a finer format.",
        ) from capped
    return halves


def split_window(options: Incremental, window: Window) -> tuple[Window, Window] | None:
    """Returns the halves of ``window``, or two parts where the format cannot write the middle; None for a single instant.

    Each bound is one that the format writes in full and, for inclusive ends, a multiple of the unit: no record lies
    between two parts.
    """
    for middle in _middles(options, window):
        if window.since < middle < window.until:
            parts = (
                _part(options, window.since, middle),
                _part(options, middle, window.until),
            )
            is_wider = (parts[0].start, parts[1].end) != (window.start, window.end)
            if not is_wider and not any(is_empty_window(options, part) for part in parts):
                return parts
    return None


def _middles(options: Incremental, window: Window) -> Iterator[datetime]:
    """The middle, and the earliest instant after the begin; whole seconds first, since not every API reads fractions."""
    half = (window.until - window.since) / 2
    for grid in (_SECOND, _FINEST):
        for moment in (window.since + half, window.since + _FINEST):
            yield _align(options, moment, grid)


def _align(options: Incremental, moment: datetime, grid: timedelta) -> datetime:
    """Returns the earliest instant, not before ``moment``, on the grid, of whole units, that the format writes in full."""
    step = grid
    if options.upper == "inclusive":
        step = max(grid, timedelta(seconds=duration_seconds(options.unit)))
    since_epoch = moment - EPOCH
    return round_up(EPOCH + -(-since_epoch // step) * step, options.format)


def _part(options: Incremental, since: datetime, until: datetime) -> Window:
    bare = structs.replace(options, start=None, until=None, step=None, lookback=None)
    (part,) = cut_windows(bare, Interval(since, until))
    return part


def _write_parts(windows: Sequence[Window]) -> list[Any]:
    return [[window.since.isoformat(), window.until.isoformat()] for window in windows]


def _read_parts(endpoint: Endpoint, parts: Sequence[Any]) -> list[Window]:
    assert endpoint.incremental is not None  # a window has options
    bounds = [[datetime.fromisoformat(text) for text in part] for part in parts]
    return [_part(endpoint.incremental, since, until) for since, until in bounds]


def write_bounds(window: Window) -> dict[str, Any]:
    """Returns ``window`` as templates see it."""
    return {"start": window.start, "end": window.end}


def _build_restart(
    endpoint: Endpoint, context: Mapping[str, Any], window: Window | None
) -> Restart | None:
    """Returns the restart that moves a bound of the window to the last record; None without a window or field."""
    options, cap = endpoint.incremental, endpoint.paginate.cap if endpoint.paginate else None
    if window is None or options is None or cap is None:
        return None
    field = cap.field or options.field
    if field is None:
        return None
    form = options.field_format if cap.field is None and options.field_format else "any"

    bound, move = ("window.start", _move_start)
    if cap.order == "descending":
        bound, move = ("window.end", _move_end)

    def build(value: Any) -> ApiRequest:
        try:
            moment = read_instant(value, form).moment
        except UnreadableDate as error:
            raise InvalidRecord(
                f"{bound} cannot be moved to {field} = {show_value(value, field)}: {error.reason}",
                hint="Write incremental.field_format, or field and param under cap.",
            ) from error
        moved = move(options, window, moment)
        return build_first_request(endpoint, {**context, "window": moved})

    return Restart(field, build)


def _move_start(options: Incremental, window: Window, moment: datetime) -> dict[str, Any]:
    start = round_down(max(moment, window.since), options.format)
    return {"start": write_start(options, start), "end": window.end}


def _move_end(options: Incremental, window: Window, moment: datetime) -> dict[str, Any]:
    """Moves the end to the earliest instant that the format writes, and with which the API returns ``moment`` again."""
    if options.upper == "exclusive":
        moment += _FINEST if moment.microsecond else _SECOND
    end = round_up(moment, options.format)
    shown = window.end if end >= window.until else format_instant(end, options.format)
    return {"start": window.start, "end": shown}
