"""Rules about reading only what changed."""

from __future__ import annotations

import re

from oauth_taskflow.iso8601 import duration_length
from oauth_taskflow.specs.instant_formats import NAMED_FORMATS, find_precision
from oauth_taskflow.specs.model import SCHEDULES_WITHOUT_INTERVAL, DagSpec
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.template_names import WATERMARK, WINDOW
from oauth_taskflow.specs.windows import Incremental

_DAY = 86400.0
_NOTHING = Incremental()
_OF_THE_FIELD = ("field_format", "missing", "keep", "order")
_DIRECTIVE = re.compile(r"%[-:]?[a-zA-Z]")
_ZONE = re.compile(r"%:?z|%Z|%s|Z|[+-]00:?00|UTC|GMT")


@endpoint_rule("incremental-without-field", about="incremental")
def incremental_without_field(view: EndpointView) -> Findings:
    """Keys that say how a record's change time is read, and no key that names it.

    Without `field` the endpoint has no watermark, which is right for an API whose records show no change time.

    Bad: `incremental: {start: 2024-01-01, field_format: epoch}`

    Good: `incremental: {field: updatedAt, start: 2024-01-01, field_format: epoch}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.field is not None:
        return
    for key in _OF_THE_FIELD:
        if getattr(incremental, key) != getattr(_NOTHING, key):
            message = f"{key} is about the change time of a record, which is not named"
            yield Finding(("incremental", key), message, "Write field: updatedAt.", at_key=True)


@endpoint_rule("incremental-without-start", about="incremental")
def incremental_without_start(view: EndpointView) -> Findings:
    """The first window needs a beginning: `start`, or a schedule with data intervals and a `start_date`.

    With `by: watermark` only a request that sends a window needs it.

    Bad: `schedule: null` with `incremental: {field: updatedAt}`

    Good: `schedule: null` with `incremental: {field: updatedAt, start: 2024-01-01}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.start is not None:
        return
    if incremental.by == "watermark" and WINDOW not in view.names_used:
        return
    if incremental.by == "interval" and _has_first_interval(view.source):
        return
    yield Finding(
        ("incremental",), "nothing says where the first window begins", "Write start: 2024-01-01."
    )


@endpoint_rule("first-run-without-start", about="incremental")
def first_run_without_start(view: EndpointView) -> Findings:
    """The first run is the one that reads from `start`; without `start` no run is the first.

    With `by: watermark` it is the one that finds no stored watermark.

    Bad: `incremental: {field: t, first_run: {request: {path: /v1/charges}}}`

    Good: `incremental: {field: t, start: 2024-01-01, first_run: {request: {path: /v1/charges}}}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.first_run is None or incremental.start is not None:
        return
    if incremental.by == "watermark":
        return
    message = "no run is the first one, since nothing says where the data starts"
    yield Finding(("incremental", "first_run"), message, "Write start: 2024-01-01.", at_key=True)


def _has_first_interval(source: DagSpec) -> bool:
    has_intervals = (
        isinstance(source.schedule, str) and source.schedule not in SCHEDULES_WITHOUT_INTERVAL
    )
    return has_intervals and source.start_date is not None


@endpoint_rule("incremental-bounds-not-sent", "warning", about="incremental")
def incremental_bounds_not_sent(view: EndpointView) -> Findings:
    """The window is never sent, so every run reads everything.

    An API that cannot filter by time needs `keep: window`.

    Bad: `incremental: {field: updatedAt, ...}` with `request: {path: /contacts}`

    Good: the same with `request: {path: /contacts, params: {updated_since: "{{ window.start }}"}}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or (incremental.by == "watermark" and WATERMARK in view.names_used):
        return
    if incremental.keep is None and not view.sent_bounds:
        hint = 'Send it: params: {updated_since: "{{ window.start }}"}.'
        yield Finding(("incremental",), "no template uses the window", hint)


@endpoint_rule("unit-vs-format", about="incremental")
def unit_vs_format(view: EndpointView) -> Findings:
    """Window ends are cut to the precision of the format: a finer unit or step loses or repeats what is between.

    Bad: `incremental: {format: date, upper: inclusive, ...}` (the unit is a second, the format shows days)

    Good: `incremental: {format: date, upper: inclusive, unit: P1D, ...}`
    """
    incremental = view.endpoint.incremental
    finest = _precision(incremental.format) if incremental is not None else None
    if incremental is None or finest is None:
        return
    unit = duration_length(incremental.unit) or 0.0
    is_inclusive = incremental.upper == "inclusive" and incremental.keep is None
    if (is_inclusive or incremental.lower == "exclusive") and unit < finest:
        hint = "Let unit be what the format shows, for example P1D for dates."
        message = f"unit {incremental.unit} is finer than the format {incremental.format!r} shows"
        yield Finding(("incremental", "unit"), message, hint)
    step = incremental.step
    if step is not None and 0 < (duration_length(step) or 0.0) < finest:
        message = f"step {step} is finer than the format {incremental.format!r} shows"
        yield Finding(("incremental", "step"), message, "Take a longer step or a finer format.")


def _precision(style: str) -> float | None:
    """Return the finest part of time that ``style`` shows, in seconds; None when it shows no time or is not a pattern."""
    finest = find_precision(style)
    return None if finest is None else duration_length(finest)


@endpoint_rule("zone-less", "warning", about="incremental")
def zone_less(view: EndpointView) -> Findings:
    """A date-time without a zone is read in whatever zone the server has; windows are UTC.

    In a zone behind UTC, the end of a window is still ahead: what changes until then is not read again. A `lookback` of a day
    reads it again, whatever the zone is.

    Bad: `format: "%Y-%m-%d %H:%M:%S"`

    Good: `format: "%Y-%m-%dT%H:%M:%SZ"`, or the former with `lookback: P1D`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.format in NAMED_FORMATS:
        return
    if (duration_length(incremental.lookback or "") or 0.0) >= _DAY:
        return
    shows_time = (_precision(incremental.format) or _DAY) < _DAY
    if shows_time and not _ZONE.search(incremental.format):
        hint = "End it with Z or %z if the API allows; window times are UTC."
        yield Finding(("incremental", "format"), "the times are sent without a zone", hint)
