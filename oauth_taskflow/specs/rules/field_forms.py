"""Rules about the order of `where`, `fields` and `incremental`: each reads what the one before has left."""

from __future__ import annotations

import re

from oauth_taskflow.date_forms import FORMS, INTEGER, find_form_flaw
from oauth_taskflow.fields.options import DateOptions, Fields
from oauth_taskflow.fields.trace import find_converter, parse_paths, read_plain_names
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

# What `dates` writes, and numbers of all sizes that `cast` writes: seconds, milli- and microseconds of one instant.
_INSTANTS = ("2026-01-31T10:20:30Z", "2026-01-31T10:20:30.5Z")
_DAYS = ("2026-01-31",)
_NUMBERS = (1769854830, 1769854830000, 1769854830000000)
# Parts of a `where` that are not fields of the record: texts, literals, and what applies to the items of a list.
_NOT_FIELDS = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\[[^\]]*\]")


@endpoint_rule("field-format-lost", about="fields")
def field_format_lost(view: EndpointView) -> Findings:
    """`field_format` says how records write the change time when `fields` is done, and `fields` writes it differently.

    `dates` writes RFC 3339, `cast` to a number writes a number. The change time is read after both, also by `keep: window`.

    Bad: `incremental: {field: t, field_format: dotnet, ...}` with `fields: {dates: {t: dotnet}}`

    Good: `incremental: {field: t, ...}` with `fields: {dates: {t: dotnet}}`, or `field_format: dotnet` without `dates`
    """
    fields, incremental = view.endpoint.fields, view.endpoint.incremental
    if fields is None or incremental is None or incremental.field_format is None:
        return
    field, form = incremental.field or "", incremental.field_format
    forms = (form,) if isinstance(form, str) else tuple(form)
    names = read_plain_names(field)
    if not names or any(find_form_flaw(each, (*FORMS, INTEGER)) for each in forms):
        return
    values, message = _find_written(fields, names)
    if values and not _can_read_any(forms, values):
        hint = f"Remove field_format, or leave {field!r} out of fields."
        at = ("incremental", "field_format")
        yield Finding(at, f"{message.format(field)}, which is not {' or '.join(forms)}", hint)


def _find_written(fields: Fields, names: tuple[str, ...]) -> tuple[tuple[str | int, ...], str]:
    """Returns samples of what ``fields`` writes into the change time, and what to say of it; none if it is unchanged."""
    cast = find_converter(fields.cast, fields, names)
    if cast is not None and fields.cast[cast] in {"integer", "decimal"}:
        return _NUMBERS, "fields.cast makes {!r} a number"
    date = find_converter(fields.dates, fields, names)
    if date is None:
        return (), ""
    if _writes_day(fields, date):
        return _DAYS, "fields.dates writes {!r} as a day"
    return _INSTANTS, "fields.dates writes {!r} as RFC 3339"


def _writes_day(fields: Fields, path: str) -> bool:
    options = fields.dates[path]
    return isinstance(options, DateOptions) and options.write == "date"


def _can_read_any(forms: tuple[str, ...], values: tuple[str | int, ...]) -> bool:
    """Whether one of ``forms`` reads one of ``values``."""
    from oauth_taskflow.dates import UnreadableDate, read_instant  # noqa: PLC0415  # for these specs only

    numbers = isinstance(values[0], int)
    if INTEGER in forms:
        return numbers
    for value in values:
        try:
            read_instant(value, forms)
        except UnreadableDate:
            continue
        return True
    return False


@endpoint_rule("day-in-window", "warning", about="fields")
def day_in_window(view: EndpointView) -> Findings:
    """`write: date` leaves the day of the change time, so that `keep: window` compares midnight with the window.

    A record that changed at 11:00 counts as one of 00:00, and no window that begins between the two has it.

    Bad: `incremental: {field: t, keep: window, ...}` with `fields: {dates: {t: {form: iso, write: date}}}`

    Good: `fields: {set: {day: {path: t}}, dates: {day: {form: iso, write: date}}}`
    """
    fields, incremental = view.endpoint.fields, view.endpoint.incremental
    if fields is None or incremental is None or incremental.keep is None:
        return
    names = read_plain_names(incremental.field or "")
    path = find_converter(fields.dates, fields, names) if names else None
    if path is not None and _writes_day(fields, path):
        message = f"only the day of {incremental.field!r} is left for keep: window"
        hint = "Write the day into another field: set: {day: {path: …}}."
        yield Finding(("fields", "dates", path, "write"), message, hint)


@endpoint_rule("where-before-fields", "warning", about="fields")
def where_before_fields(view: EndpointView) -> Findings:
    """`where` looks at the record as the API sent it: a field that `fields` makes is not there yet.

    Bad: `where: url != null` with `fields: {move: {links.self: url}}`

    Good: `where: links.self != null` with `fields: {move: {links.self: url}}`
    """
    fields, where = view.endpoint.fields, view.endpoint.where
    if fields is None or where is None:
        return
    text = _NOT_FIELDS.sub(" ", where)
    there = {path.names[0] for path in parse_paths(list(fields.move))} | set(view.endpoint.for_each)
    for step in ("move", "set", "collect"):
        made = fields.move.values() if step == "move" else getattr(fields, step)
        for name in sorted({path.names[0] for path in parse_paths(list(made))} - there):
            if re.search(rf"(?<![.\w]){re.escape(name)}\b(?!\s*\()", text):
                message = f"where comes before fields.{step}, which makes {name!r}"
                yield Finding(("where",), message, "Use the names that the API sends.")
