"""Rules about reshaping records: paths, forms of dates, casts and clashes that can be seen in the spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from oauth_taskflow.date_forms import find_form_flaw
from oauth_taskflow.fields.options import DateOptions, Fields, HashOptions, PathValue
from oauth_taskflow.fields.paths import FieldPath, parse_field_path
from oauth_taskflow.fields.trace import (
    find_converter,
    is_moved,
    read_path,
    read_plain_names,
    write_names,
)
from oauth_taskflow.specs.model import ForEachOptions
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.destination_fields import find_destination_uses
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.rules.schedules import zone_of
from oauth_taskflow.specs.template_names import FIELD_NAMES

_FIELDS = ("fields",)
# JMESPath functions whose result has no fixed number of digits.
_COMPUTED = re.compile(r"\b(?:avg|sum|to_number)\s*\(")
_QUOTE = "Quote names with other characters inside the text: '\"@type\"'."


@endpoint_rule("bad-field-path", about="fields")
def bad_field_path(view: EndpointView) -> Findings:
    """A path of `fields` that cannot be read, or that leads to several places where one is meant.

    Names are joined by dots, `[]` means each item of a list, and `*` inside a name any text. Names with `@`, dots or
    brackets are quoted. A field is moved within one mapping: old and new path have the same `[]`.

    Bad: `drop: ["@odata.etag"]`, `move: {"items[].href": href}`, `set: {"*_at": x}`

    Good: `drop: ['"@odata.etag"']`, `move: {"items[].href": "items[].url"}`, `set: {read_at: x}`
    """
    fields = view.endpoint.fields
    if fields is None:
        return
    for where, text, takes in _list_paths(fields):
        yield from _check_path(where, text, takes)
    for old, new in fields.move.items():
        before, after = read_path(old), read_path(new)
        if before and after and before.split()[0] != after.split()[0]:
            hint = (
                "Write the same [] into both, or find the values by fields.set: {name: {path: …}}."
            )
            yield Finding((*_FIELDS, "move", old), "the two paths go through other lists", hint)
    for target, each in fields.collect.items():
        if each.as_ is not None and len(set(each.as_)) != 2:
            where = (*_FIELDS, "collect", target, "as")
            yield Finding(where, "as takes two names, for key and value", "Write [name, value].")


# The parts that paths of a step may have: ``*``, ``[]``, and ``[]`` at the end.
_TAKES = {
    "spread": "*[]",
    "move": "[]",
    "set": "",
    "dates": "*[]end",
    "cast": "*[]end",
    "collect": "",
    "drop": "*[]",
}


def _list_paths(fields: Fields) -> Iterator[tuple[YamlPath, str, str]]:
    """Yields each path with its place and what it may have."""
    for step, takes in _TAKES.items():
        written = getattr(fields, step)
        places = (
            enumerate(written) if isinstance(written, list) else zip(written, written, strict=True)
        )
        yield from (((*_FIELDS, step, place), text, takes) for place, text in places)
    inside = ("fields",) if isinstance(fields.hash, HashOptions) else ()
    for index, text in enumerate(fields.hashed):
        yield (*_FIELDS, "hash", *inside, index), text, "*[]end"
    yield from (((*_FIELDS, "move", old), new, "[]") for old, new in fields.move.items())
    for target, each in fields.collect.items():
        where: YamlPath = (*_FIELDS, "collect", target, "keys")
        if isinstance(each.keys, str):
            yield where, each.keys, "*"
        else:
            yield from (((*where, index), text, "*") for index, text in enumerate(each.keys))


def _check_path(where: YamlPath, text: str, takes: str) -> Findings:
    try:
        path = parse_field_path(text)
    except ValueError as error:
        yield Finding(where, f"{text!r} is not a path of fields: {error}", _QUOTE)
        return
    if path.has_pattern and "*" not in takes:
        yield Finding(where, f"{text!r} may mean several fields", "Name one field, without *.")
    if path.has_items and "[]" not in takes:
        yield Finding(
            where, f"{text!r} leads to the items of a list", "Name one field, without []."
        )
    elif path.parts[-1].items and "end" not in takes:
        hint = "Name a field of the items, or the list itself."
        yield Finding(where, f"{text!r} leads to items of a list, which have no names", hint)


@endpoint_rule("bad-date-form", about="fields")
def bad_date_form(view: EndpointView) -> Findings:
    """A form of a date is a name from the list, or a strptime pattern with a year; a zone is one of IANA.

    Bad: `dates: {created: isoo}`, `dates: {created: "%d/%m"}`, `dates: {created: {form: iso, zone: CEST}}`

    Good: `dates: {created: iso}`, `dates: {created: "%d/%m/%Y"}`, `dates: {created: {form: iso, zone: Europe/Berlin}}`
    """
    for path, value in (view.endpoint.fields or Fields()).dates.items():
        where: YamlPath = (*_FIELDS, "dates", path)
        forms = value.form if isinstance(value, DateOptions) else value
        if isinstance(value, DateOptions):
            if zone_of(value.zone) is None:
                hint = "Write one of IANA's names, such as Europe/Berlin."
                yield Finding((*where, "zone"), f"there is no zone {value.zone!r}", hint)
            where = (*where, "form")
        if isinstance(forms, str):
            yield from _check_form(where, forms)
        else:
            if not forms:
                yield Finding(where, "the list of forms is empty", "Name a form, such as any.")
            for index, form in enumerate(forms):
                yield from _check_form((*where, index), form)


def _check_form(where: YamlPath, form: str) -> Findings:
    flaw = find_form_flaw(form)
    if flaw is not None:
        yield Finding(where, *flaw)


@endpoint_rule("lossy-cast", about="fields")
def lossy_cast(view: EndpointView) -> Findings:
    """A cast after which something is lost, or that fails for every record.

    A computed number has no fixed digits, so its text is not a stable value. A key or change time as true or false is the same
    for many records. What `dates` writes is text.

    Bad: `set: {share: {path: "avg(parts[].share)"}}` with `cast: {share: text}`, `cast: {id: boolean}` with
    `primary_key: id`, `dates: {created: any}` with `cast: {created: integer}`

    Good: `cast: {share: decimal}`, `cast: {id: text}`, `dates: {created: any}` alone
    """
    fields = view.endpoint.fields
    if fields is None:
        return
    used = _key_names(view)
    for path, kind in fields.cast.items():
        where = (*_FIELDS, "cast", path)
        made = fields.set.get(path)
        if kind == "text" and isinstance(made, PathValue) and _COMPUTED.search(made.path):
            hint = "Cast it to decimal, or leave it out of cast."
            yield Finding(
                where, f"{path!r} is a computed number, whose text has no fixed digits", hint
            )
        yield from _spoil_key(fields, where, kind, used)
        if kind != "text" and _is_date(fields, path):
            yield Finding(where, f"fields.dates has made {path!r} a text", "Remove one of the two.")


def _spoil_key(fields: Fields, where: YamlPath, kind: str, used: Mapping[str, str]) -> Findings:
    """Yields the key or change time that a cast at ``where`` makes the same for many records."""
    path = str(where[-1])
    for name, user in used.items() if kind in {"boolean", "json"} else ():
        names = read_plain_names(name)
        if names and find_converter([path], fields, names):
            yield Finding(
                where, f"{user} uses {name!r}, which {kind} would spoil", "Cast it to text."
            )


def _is_date(fields: Fields, text: str) -> bool:
    """Whether dates has made the field that a cast names a text."""
    path = read_path(text)
    if path is None or path.has_items or path.has_pattern:
        return text in fields.dates
    before = replace(fields, names=None, flatten=None)
    return find_converter(fields.dates, before, path.names) is not None


def _key_names(view: EndpointView) -> dict[str, str]:
    keys = view.endpoint.primary_key
    names = dict.fromkeys([keys] if isinstance(keys, str) else keys or [], "primary_key")
    incremental = view.endpoint.incremental
    if incremental is not None and incremental.field is not None:
        names[incremental.field] = "incremental.field"
    for where, (*above, last), _ in find_destination_uses(view):
        if where[-1] == "field":
            names[".".join([*above, last])] = "partition_by"
    return names


@endpoint_rule("field-clash", about=("fields", "for_each"))
def field_clash(view: EndpointView) -> Findings:
    """Two variables of `for_each` or two steps of `fields` write a field of the same name: one would overwrite the other.

    Bad: `move: {a: url}` with `set: {url: x}`, `names: snake_case` with `set: {readAt: a, read_at: b}`,
    `for_each: {contact: {endpoint: contacts, copy: {x: id}}}` with `set: {x: 1}`

    Good: another name for each
    """
    fields = view.endpoint.fields or Fields()
    copied: Makers = {}
    made: Makers = {}
    for where, name in _list_copies(view):
        is_first = (name,) not in copied
        yield from _note_maker(copied, where, (name,), name)
        if is_first and not is_moved(fields, (name,)):
            yield from _note_maker(made, where, write_names(fields, (name,)), name)
    for where, text in _list_targets(fields):
        path = read_path(text)
        if path is not None:
            yield from _note_maker(made, where, _final_names(fields, path), text)


Makers = dict[tuple[str, ...], str]


def _note_maker(makers: Makers, where: YamlPath, names: tuple[str, ...], text: str) -> Findings:
    """Notes that the option at ``where`` writes the field ``names``; yields a finding where another one does."""
    if names in makers:
        message = f"{makers[names]} writes the field {text!r}, too"
        yield Finding(where, message, "Give each another name.")
    makers.setdefault(names, ".".join(map(str, where)))


def _list_copies(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    for variable, over in view.endpoint.for_each.items():
        for name in over.copy if isinstance(over, ForEachOptions) else ():
            yield ("for_each", variable, "copy", name), name


def _list_targets(fields: Fields) -> Iterator[tuple[YamlPath, str]]:
    yield from (((*_FIELDS, "move", old), new) for old, new in fields.move.items())
    for step in ("set", "collect"):
        targets: Iterable[str] = getattr(fields, step)
        yield from (((*_FIELDS, step, name), name) for name in targets)


def _final_names(fields: Fields, path: FieldPath) -> tuple[str, ...]:
    names = tuple(f"{part.name}{'[]' * part.items}" for part in path.parts)
    return names if path.has_items else write_names(fields, names)


@endpoint_rule("empty-fields", "warning", about="fields")
def empty_fields(view: EndpointView) -> Findings:
    """`fields` without a step changes nothing.

    Bad: `fields: {on_error: keep}`

    Good: `fields: {dates: {created: any}, on_error: keep}`
    """
    fields = view.endpoint.fields
    if fields is None or view.source.defaults.fields is not None:
        return  # an empty step may undo a default
    steps: Mapping[str, object] = view.raw.get("fields") or {}
    if not any(value or value == 0 for name, value in steps.items() if name != "on_error"):
        yield Finding(_FIELDS, "fields has no step: nothing changes", "Write a step, or remove it.")


@endpoint_rule("reserved-variable", about="fields")
def reserved_variable(view: EndpointView) -> Findings:
    """Templates of `fields.set` know `record` and `now`, so no variable of `for_each` has these names there.

    Bad: `for_each: {record: contacts}` with `fields: {set: {owner: "{{ record.id }}"}}`

    Good: `for_each: {contact: contacts}`
    """
    if view.endpoint.fields is None or not view.endpoint.fields.set:
        return
    for name in sorted(FIELD_NAMES):
        if name in view.endpoint.for_each:
            message = f"templates of fields.set have another {name!r}"
            yield Finding(("for_each", name), message, "Choose another name.", at_key=True)
