"""Rules about windows that are kept on this side, because the API cannot filter by time."""

from __future__ import annotations

from oauth_taskflow.date_forms import INTEGER
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule


@endpoint_rule("needs-keep", about="incremental")
def needs_keep(view: EndpointView) -> Findings:
    """Keys that say which records are left out on this side, without `keep: window`: nothing is left out.

    Bad: `incremental: {field: t, order: newest_first, ...}`, `incremental: {field: t, missing: exclude, ...}`

    Good: `incremental: {field: t, keep: window, order: newest_first, missing: exclude, ...}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.keep is not None:
        return
    if incremental.order is not None:
        message = "order has no effect without keep: window"
        yield Finding(("incremental", "order"), message, "Write keep: window.", at_key=True)
    if incremental.missing == "exclude":
        message = "missing: exclude has no effect without keep: window"
        yield Finding(("incremental", "missing"), message, "Write keep: window, or include.")


@endpoint_rule("kept-and-sent", "warning", about="incremental")
def kept_and_sent(view: EndpointView) -> Findings:
    """The window is sent to the API and kept on this side as well: one of the two is a mistake, or a waste.

    Both make sense where the API knows no upper bound (send `window.start` only), and where it includes the upper bound
    or filters by whole days (`upper: inclusive`).

    Bad: `incremental: {keep: window, ...}` with `params: {since: "{{ window.start }}", until: "{{ window.end }}"}`

    Good: one of them, or `incremental: {keep: window, upper: inclusive, ...}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.keep is None or incremental.upper == "inclusive":
        return
    if view.sent_bounds == {"start", "end"}:
        message = "both bounds are sent, and keep: window leaves out the same records again"
        hint = (
            "Remove keep if the API filters by time; write upper: inclusive if it includes the end."
        )
        yield Finding(("incremental", "keep"), message, hint, at_key=True)


@endpoint_rule("step-without-bounds", about="incremental")
def step_without_bounds(view: EndpointView) -> Findings:
    """`step` cuts windows that the API never gets: each of them reads all pages, and keeps a part.

    Bad: `incremental: {field: t, keep: window, step: P7D, ...}`

    Good: `incremental: {field: t, keep: window, ...}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.keep is None or incremental.step is None:
        return
    if "start" not in view.sent_bounds:
        message = "each window of step reads all pages again, since no bound is sent"
        yield Finding(("incremental", "step"), message, "Remove step.", at_key=True)


@endpoint_rule("integer-window", about="incremental")
def integer_window(view: EndpointView) -> Findings:
    """A window is an interval of time: an integer is in none, and a stored watermark that is an integer begins none.

    Bad: `incremental: {field: id, field_format: integer, keep: window, ...}`; with `by: watermark`,
    `params: {since_id: "{{ window.start }}"}`

    Good: `incremental: {by: watermark, field: id, field_format: integer}` with
    `params: {since_id: "{{ watermark.value | default(0) }}"}`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.field_format != INTEGER:
        return
    at = ("incremental", "field_format")
    if incremental.keep is not None:
        hint = "Name a field that is a time, or remove keep."
        yield Finding(at, "an integer is in no window of time", hint)
    elif incremental.keeps_watermark and view.sent_bounds:
        hint = "Send {{ watermark.value | default(0) }} instead of the window."
        yield Finding(at, "no window of time begins at an integer", hint)
