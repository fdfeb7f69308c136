"""Rules about the range that is read: impossible starts, and windows of which only one bound is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone

from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.specs.template_names import WINDOW
from oauth_taskflow.templates.references import parse_template

# "Greater than" before the beginning: OData, GraphQL, SQL and JQL; not ">=", "->" or "=>".
_LATER_THAN = re.compile(
    r"""(?:(?<![<>=-])>[\s'"(\\]*|(?<![a-z0-9])gt(?![a-z0-9])[\]\s:='"(\\]*)"""
    r"""(?:\w+['"(]{1,2})?\s*\{\{-?\s*window\s*\.\s*start\b""",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_FARTHEST_YEARS = 10
_FIRST_YEAR = 1970


def _this_year() -> int:
    return datetime.now(timezone.utc).year


def _far(text: str | None) -> Iterator[tuple[str, str]]:
    instant = parse_instant(text) if text else None
    if instant is not None and instant.year > _this_year() + _FARTHEST_YEARS:
        yield f"{text} is more than {_FARTHEST_YEARS} years ahead", "Write the year it begins."


@spec_rule("start-far-ahead")
def dag_start_far_ahead(view: SpecView) -> Findings:
    """A start more than ten years ahead: until then the DAG never runs, or no run reads a record.

    Bad: `start_date: 2126-01-01`

    Good: `start_date: 2026-01-01`
    """
    for message, hint in _far(view.source.start_date):
        yield Finding(("start_date",), message, hint)


@endpoint_rule("start-far-ahead", about="incremental")
def incremental_start_far_ahead(view: EndpointView) -> Findings:
    """A start more than ten years ahead: until then the DAG never runs, or no run reads a record.

    Bad: `incremental: {field: updatedAt, start: 2126-01-01}`

    Good: `incremental: {field: updatedAt, start: 2026-01-01}`
    """
    incremental = view.endpoint.incremental
    for message, hint in _far(incremental.start if incremental is not None else None):
        yield Finding(("incremental", "start"), message, hint)


@endpoint_rule("start-too-early", "warning", about="incremental")
def start_too_early(view: EndpointView) -> Findings:
    """No API changed a record before 1970; with `step` each window since then costs a separate request.

    Bad: `incremental: {field: updatedAt, start: 0224-01-01, step: P7D}`

    Good: `incremental: {field: updatedAt, start: 2024-01-01, step: P7D}`
    """
    incremental = view.endpoint.incremental
    instant = parse_instant((incremental and incremental.start) or "")
    if incremental is not None and instant is not None and instant.year < _FIRST_YEAR:
        message = f"{incremental.start} is before 1970"
        yield Finding(("incremental", "start"), message, "Write the year the data begins.")


@endpoint_rule("start-after-end", about="incremental")
def incremental_start_after_end(view: EndpointView) -> Findings:
    """A DAG whose end is before its start never runs; an endpoint that starts after the DAG's end reads nothing.

    Bad: `end_date: 2026-06-01` with `incremental: {field: updatedAt, start: 2026-07-01}`

    Good: `end_date: 2026-06-01` with `incremental: {field: updatedAt, start: 2026-01-01}`
    """
    incremental = view.endpoint.incremental
    start = parse_instant((incremental and incremental.start) or "")
    end = parse_instant(view.source.end_date or "")
    if start is not None and end is not None and start >= end:
        message = "the data begins after the DAG's end_date"
        yield Finding(
            ("incremental", "start"), message, "Write an earlier start or a later end_date."
        )


@endpoint_rule("incremental-one-bound", "warning", about="incremental")
def incremental_one_bound(view: EndpointView) -> Findings:
    """The request sends only one bound of the window. With `step` each window then reads to the end of the data again.

    Without `window.start` every window begins with the first record of the API.

    Bad: `params: {updated_since: "{{ window.start }}"}` with `incremental: {field: t, start: 2024-01-01, step: P7D}`

    Good: `params: {updated_since: "{{ window.start }}", updated_before: "{{ window.end }}"}` with the same
    """
    incremental = view.endpoint.incremental
    if incremental is None:
        return
    sent = {
        attribute
        for _, template in view.request_templates
        for name, attribute in template.references
        if name == WINDOW and attribute
    }
    if sent == {"end"} and incremental.keep is None:
        yield Finding(("incremental",), "window.start is never sent", "Send both bounds.")
    elif sent == {"start"} and incremental.step is not None:
        message = "step cuts windows, but window.end is never sent"
        yield Finding(("incremental", "step"), message, "Send window.end too, or remove step.")


@endpoint_rule("exclusive-lower", "warning", about="incremental")
def exclusive_lower(view: EndpointView) -> Findings:
    """The request asks for times later than `window.start`: a record exactly at the beginning of a window is in no window.

    `gt` and `>` say so. Names such as `modified_after` do not: WordPress leaves the bound out, GitLab takes it. `lower` says
    which it is, `lower: inclusive` included.

    Bad: `params: {"updated[gt]": "{{ window.start }}"}` with `incremental: {field: updated, start: 2024-01-01}`

    Good: `params: {"updated[gte]": "{{ window.start }}"}`, or `incremental: {lower: exclusive, ...}`
    """
    raw, options = view.raw.get("incremental"), view.endpoint.incremental
    if options is None or (isinstance(raw, dict) and "lower" in raw):
        return
    if options.lookback is not None and options.step is None:
        return  # each run reads the end of the one before again
    for path, text in view.request_texts:
        words = _WORD.findall(str(path[-1]).lower())
        begins = (WINDOW, "start") in parse_template(text).references
        if begins and (words[-1:] == ["gt"] or _LATER_THAN.search(text)):
            message = "the request asks for times later than window.start, so a record at that instant is in no window"
            hint = "Ask for gte or >= where the API has it, else write incremental.lower: exclusive and the unit of its times."
            yield Finding(path, message, hint)
