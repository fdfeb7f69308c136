"""Rules about names that ``fields`` takes away, writes differently, or never meets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from oauth_taskflow.fields.options import Fields, HashOptions, PathValue
from oauth_taskflow.fields.paths import write_name
from oauth_taskflow.fields.trace import (
    Loss,
    find_loss,
    find_taker,
    is_covered,
    read_path,
    read_plain_names,
    write_names,
)
from oauth_taskflow.specs.model import CopiedField, ForEachOptions
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.destination_fields import FieldUse, find_destination_uses
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_DONE = {
    "spread": "fields.spread moves the members of {name!r} up",
    "move": "fields.move takes {name!r} away",
    "collect": "fields.collect takes {name!r} away",
    "names": "fields.names writes {name!r} differently",
    "flatten": "fields.flatten joins the names of {name!r}",
    "drop": "fields.drop leaves out {name!r}",
    "hash": "fields.hash replaces {name!r}",
}


@endpoint_rule("field-lost", about=("fields", "for_each"))
def field_lost(view: EndpointView) -> Findings:
    """`primary_key`, `incremental.field`, a destination or a child endpoint names a field that `fields` takes away or renames.

    Keys, change times, `partition_by` and `deleted_when` are read after `fields`, and children read what was written: they
    use the new names.

    Bad: `fields: {names: snake_case}` with `primary_key: contactId`, `fields: {drop: [updatedAt]}` with
    `incremental: {field: updatedAt}`, `fields: {names: snake_case}` with `deleted_when: isDeleted`

    Good: `fields: {names: snake_case}` with `primary_key: contact_id`
    """
    uses = [*_find_own_uses(view), *find_destination_uses(view), *_find_parent_uses(view)]
    for where, names, user in uses:
        fields = view.endpoint.fields if user is None else view.siblings[user].fields
        loss = (
            None if fields is None else find_loss(fields, names) or _find_hash(fields, names, where)
        )
        if loss is not None:
            yield _build_finding(where, names, loss, user)


def _find_hash(fields: Fields, names: tuple[str, ...], where: YamlPath) -> Loss | None:
    """Returns that a field is hashed where the API, or the watermark, needs its value; a key may be a hash."""
    is_free = where[0] == "primary_key" or "copy" in where or where[-2:-1] == ("partition_by",)
    return Loss("hash") if not is_free and is_covered(fields.hashed, names) else None


def _build_finding(
    where: YamlPath, names: tuple[str, ...], loss: Loss, parent: str | None
) -> Finding:
    message = _DONE[loss.step].format(name=".".join(names))
    message = message if parent is None else f"{message} in endpoint {parent!r}"
    hint = f"Write {loss.instead}." if loss.instead else "Keep the field, or use another one."
    return Finding(where, message, hint)


def _find_own_uses(view: EndpointView) -> Iterator[FieldUse]:
    """Yields the fields that the endpoint's own key and watermark use, where their paths are plain."""
    if view.endpoint.fields is None:
        return
    places: list[tuple[YamlPath, str]] = []
    keys = view.endpoint.primary_key
    if isinstance(keys, str):
        places.append((("primary_key",), keys))
    places += [
        (("primary_key", n), key) for n, key in enumerate(keys if isinstance(keys, list) else ())
    ]
    incremental = view.endpoint.incremental
    if incremental is not None and incremental.field is not None:
        places.append((("incremental", "field"), incremental.field))
    for path, text in places:
        if names := read_plain_names(text):
            yield path, names, None


def _find_parent_uses(view: EndpointView) -> Iterator[FieldUse]:
    """Yields the fields of parents that the endpoint's templates and ``copy`` use."""
    for variable, (parent, _) in view.parents.items():
        if parent not in view.siblings or view.siblings[parent].fields is None:
            continue
        references = [
            (path, name, attribute)
            for path, template in (*view.request_templates, *view.field_templates)
            for name, attribute in sorted(template.references)
        ]
        yield from (
            (path, (attribute,), parent)
            for path, name, attribute in references
            if name == variable and attribute
        )
        in_where = re.findall(rf"\b{re.escape(variable)}\.(\w+)", view.endpoint.where or "")
        yield from ((("where",), (name,), parent) for name in sorted(set(in_where)))
        over = view.endpoint.for_each[variable]
        for name, copied in over.copy.items() if isinstance(over, ForEachOptions) else ():
            path_text = copied.path if isinstance(copied, CopiedField) else copied
            if names := read_plain_names(path_text):
                yield ("for_each", variable, "copy", name), names, parent


@endpoint_rule("field-never-matches", about="fields")
def field_never_matches(view: EndpointView) -> Findings:
    """A step uses the names that fields have after the steps before it; an old name never matches.

    `set`, `dates`, `cast` and `collect` come after `spread` and `move`; `drop` and `hash` also after `collect`, `names` and
    `flatten`.

    Bad: `fields: {names: snake_case, hash: [emailAddress]}`, `fields: {flatten: _, drop: [address.zip]}`,
    `fields: {move: {created: made}, dates: {created: any}}`, `fields: {move: {n: name}, set: {full: "{{ record.n }}"}}`

    Good: `fields: {names: snake_case, hash: [email_address]}`, `fields: {flatten: _, drop: [address_zip]}`,
    `fields: {move: {created: made}, dates: {made: any}}`, `fields: {move: {n: name}, set: {full: "{{ record.name }}"}}`
    """
    fields = view.endpoint.fields
    if fields is None:
        return
    inside = ("fields",) if isinstance(fields.hash, HashOptions) else ()
    places = [(("drop",), fields.drop), (("hash", *inside), fields.hashed)]
    for where, texts in places:
        for index, text in enumerate(texts):
            written = _write(fields, text)
            if written != text:
                message = f"no field is called {text!r} after names and flatten"
                yield Finding(("fields", *where, index), message, f"Write {written}.")
            else:
                yield from _find_taken(fields, ("fields", *where, index), text)
    yield from _find_set_misses(view, fields)
    yield from _find_early_misses(fields)


def _find_set_misses(view: EndpointView, fields: Fields) -> Findings:
    """Yields the templates and paths of set that look where spread and move leave nothing."""
    before = replace(fields, names=None, flatten=None, collect={}, set={})
    for where, template in view.field_templates:
        for name, attribute in sorted(template.references):
            if name == "record" and attribute:
                yield from _find_taken(before, where, write_name(attribute))
    for target, value in fields.set.items():
        if isinstance(value, PathValue) and read_plain_names(value.path):
            yield from _find_taken(before, ("fields", "set", target, "path"), value.path)


def _find_early_misses(fields: Fields) -> Findings:
    """Yields the paths of dates, cast and collect that an earlier step takes away."""
    before = replace(fields, names=None, flatten=None, collect={})
    for step in ("dates", "cast"):
        for text in getattr(fields, step):
            yield from _find_taken(before, ("fields", step, text), text)
    for target, each in fields.collect.items():
        where: YamlPath = ("fields", "collect", target, "keys")
        if isinstance(each.keys, str):
            yield from _find_taken(before, where, each.keys)
        else:
            for index, text in enumerate(each.keys):
                yield from _find_taken(before, (*where, index), text)


def _find_taken(fields: Fields, where: YamlPath, text: str) -> Findings:
    path = read_path(text)
    if path is None or path.has_pattern or path.has_items:
        return
    loss = find_taker(fields, path.names)
    if loss is not None:
        yield _build_finding(where, path.names, loss, None)


def _write(fields: Fields, text: str) -> str:
    """Returns ``text`` with the names that fields have after ``names`` and ``flatten``."""
    path = read_path(text)
    if path is None:
        return text
    written = [write_names(fields, (part.name,))[0] for part in path.parts]
    if written == list(path.names) and (
        fields.flatten is None or path.parts[0].items or len(written) == 1
    ):
        return text
    shown = [f"{name}{'[]' * part.items}" for name, part in zip(written, path.parts, strict=True)]
    # Lists stay as they are: only what is before the first one is joined.
    first = next((n for n, part in enumerate(path.parts, 1) if part.items), len(shown))
    separator = "." if fields.flatten is None else fields.flatten
    return ".".join([separator.join(shown[:first]), *shown[first:]])
