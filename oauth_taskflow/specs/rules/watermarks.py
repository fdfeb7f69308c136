"""Rules about stored watermarks and cursors that the API keeps."""

from __future__ import annotations

from oauth_taskflow.specs.export_cursor import ExpiredCursor
from oauth_taskflow.specs.model import ForEachOptions
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.specs.template_names import WATERMARK, WINDOW
from oauth_taskflow.specs.windows import Incremental

_BY_WATERMARK = "Write by: watermark, or remove it."


@endpoint_rule("watermark-mode", about="incremental")
def watermark_mode(view: EndpointView) -> Findings:
    """Keys of watermark mode that contradict the mode, or do nothing in it.

    `cursor` and `expired` need `by: watermark`. `step` and `lookback` cut and widen windows, which a cursor has not.
    A watermark is taken from `field` or `cursor`. `without_interval` is about runs by interval: with `by: watermark`, every run reads from the stored watermark.

    Bad: `incremental: {cursor: after_cursor, ...}`, `incremental: {by: watermark, without_interval: start, ...}`

    Good: `incremental: {by: watermark, cursor: after_cursor}`
    """
    options = view.endpoint.incremental
    if options is None:
        return
    if options.by == "watermark":
        if options.field is None and options.cursor is None:
            message = "nothing says how far a run has read"
            yield Finding(("incremental",), message, "Write field: updatedAt, or cursor.")
        yield from _find_idle_keys(options)
        return
    if options.cursor is not None:
        message = "cursor does nothing without by: watermark"
        yield Finding(("incremental", "cursor"), message, _BY_WATERMARK, at_key=True)
    elif options.expired != ExpiredCursor():
        message = "expired does nothing without by: watermark and cursor"
        yield Finding(("incremental", "expired"), message, _BY_WATERMARK, at_key=True)


def _find_idle_keys(options: Incremental) -> Findings:
    if options.without_interval is not None:
        message = "without_interval does nothing with by: watermark, where no run reads an interval"
        path = ("incremental", "without_interval")
        yield Finding(path, message, "Remove it.", at_key=True)
    if options.cursor is None:
        if options.expired != ExpiredCursor():
            message = "expired does nothing without cursor"
            yield Finding(("incremental", "expired"), message, "Remove it.", at_key=True)
        return
    for key in ("step", "lookback"):
        if getattr(options, key) is not None:
            message = f"{key} does nothing with cursor: the API goes on where the cursor says"
            yield Finding(("incremental", key), message, "Remove it.", at_key=True)


@endpoint_rule("watermark-not-sent", about="incremental")
def watermark_not_sent(view: EndpointView) -> Findings:
    """The stored watermark or cursor is never sent, so every run reads everything.

    A cursor is sent as `watermark.cursor`. A watermark is sent as `window.start`, or as `watermark.value` where it is a
    number that only counts. Runs by interval (`without_interval: watermark`) send `window`.

    Bad: `incremental: {by: watermark, cursor: next_sync_token}` with `request: {path: /events}`

    Good: the same with `request: {params: {sync_token: "{{ watermark.cursor | default(omit) }}"}, ...}`
    """
    options = view.endpoint.incremental
    if options is None or not options.keeps_watermark:
        return
    sent = {
        reference for _, template in view.request_templates for reference in template.references
    }
    if options.cursor is not None:
        if not {(WATERMARK, "cursor"), (WATERMARK, "")} & sent:
            hint = 'Send it: params: {cursor: "{{ watermark.cursor | default(omit) }}"}.'
            yield Finding(("incremental", "cursor"), "no template sends the stored cursor", hint)
    elif options.by == "interval" and options.keep is None and WINDOW not in view.names_used:
        hint = 'Send it: params: {updated_since: "{{ window.start }}"}.'
        message = "runs with an interval send no window"
        yield Finding(("incremental", "without_interval"), message, hint)


@endpoint_rule("watermark-first-run", about="incremental")
def watermark_first_run(view: EndpointView) -> Findings:
    """The first run has no stored watermark: a template that needs one fails there, unless `first_run` has its own request.

    Bad: `params: {since_id: "{{ watermark.value }}"}`

    Good: `params: {since_id: "{{ watermark.value | default(0) }}"}`
    """
    options = view.endpoint.incremental
    if options is None or not options.keeps_watermark or options.first_run is not None:
        return
    raw = view.raw.get("request", {})
    for path, template in view.request_templates:
        if not any(name == WATERMARK for name, _ in template.references):
            continue
        text = _find_text(raw, path[1:])
        if not any(word in text for word in ("default", "defined", "get(", "if ")):
            hint = (
                "Write {{ watermark.value | default(0) }}, with the value that the first run sends."
            )
            yield Finding(path, "the first run has no stored watermark", hint)


def _find_text(value: object, path: tuple[str | int, ...]) -> str:
    for key in path:
        value = value[key]  # type: ignore[index]  # the path was found in this value
    return str(value)


@endpoint_rule("watermark-key", about="for_each")
def watermark_key(view: EndpointView) -> Findings:
    """`key` names a parent record among the stored watermarks; without watermarks it does nothing, nor for a list.

    Bad: `for_each: {contact: {endpoint: contacts, key: id}}` in an endpoint without `by: watermark`

    Good: the same with `incremental: {by: watermark, field: updatedAt, start: 2024-01-01}`
    """
    options = view.endpoint.incremental
    keeps = options is not None and options.keeps_watermark
    for name, over in view.endpoint.for_each.items():
        if not isinstance(over, ForEachOptions) or over.key is None:
            continue
        path = ("for_each", name, "key")
        if not keeps:
            message = "key does nothing without a stored watermark"
            yield Finding(path, message, "Write incremental.by: watermark, or remove it.")
        elif over.endpoint is None:
            message = "key names parent records, and this is a list"
            yield Finding(path, message, "Remove it: each value has its own watermark.")


@spec_rule("watermark-catchup", "warning")
def watermark_catchup(view: SpecView) -> Findings:
    """A run that begins at the stored watermark reads up to now: with catchup, the first one reads all and the rest nothing.

    Bad: `catchup: true` with `incremental: {by: watermark, ...}`

    Good: `catchup: false`
    """
    if not view.source.catchup:
        return
    for endpoint in view.endpoints:
        options = endpoint.endpoint.incremental
        if options is not None and options.by == "watermark":
            message = f"endpoint {endpoint.name!r} reads from its watermark up to now, in every run"
            yield Finding(("catchup",), message, "Write catchup: false.")
            return
