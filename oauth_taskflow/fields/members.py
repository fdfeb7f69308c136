"""A record that is opened only where a step looks: every value stays the API's JSON until then.

Opened mappings are ``dict``, opened lists ``list``; what is still closed is ``msgspec.Raw``. Numbers and texts that no step
touches therefore keep their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.paths import PathPart, write_name
from oauth_taskflow.record_values import cut_text, describe_hidden, is_value_shown

Members = dict[str, Any]
ABSENT: Any = object()

_open_mapping: Any = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_open_list: Any = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_text = msgspec.json.Decoder(str).decode
_MAPPING, _LIST, _TEXT = ord("{"), ord("["), ord('"')
_WORDS = {
    ord("t"): ("boolean", "true"),
    ord("f"): ("boolean", "false"),
    ord("n"): ("null", "null"),
    _MAPPING: ("mapping", ""),
    _LIST: ("list", ""),
}


def open_record(record: Any) -> Members:
    """Returns the members of ``record``, decoded or ``msgspec.Raw``, in a new mapping.

    Raises:
        InvalidRecord: it is a single value.
    """
    raw = record if isinstance(record, msgspec.Raw) else encode(record)
    try:
        members: Members = _open_mapping(raw)
    except msgspec.ValidationError as error:
        raise InvalidRecord(
            "A record is a single value, which has no fields",
            hint="Let the record selector build mappings, as in labels[].{label: @}, or remove fields.",
        ) from error
    return members


def close_record(members: Members) -> msgspec.Raw:
    """Returns the record as JSON on one line."""
    return msgspec.Raw(encode(members))


def open_value(value: Any) -> Any:
    """Returns a mapping or list one level open, and any other value as it is."""
    if isinstance(value, msgspec.Raw):
        first = memoryview(value)[0]
        if first == _MAPPING:
            return _open_mapping(value)
        if first == _LIST:
            return _open_list(value)
    return value


def open_member(container: Any, key: Any) -> Any:
    """Returns the value below ``key``, one level open; it stays open in ``container``."""
    value = container[key] = open_value(container[key])
    return value


def read_scalar(value: Any) -> tuple[str, str]:
    """Returns the kind of ``value`` (text, number, boolean, null, mapping, list) and its text.

    The text of a number is the literal that the API wrote; mappings and lists have none.
    """
    if isinstance(value, msgspec.Raw):
        first = memoryview(value)[0]
        if first == _TEXT:
            return "text", _read_text(value)
        return _WORDS.get(first) or ("number", bytes(value).decode())
    if isinstance(value, str):
        return "text", value
    if isinstance(value, (dict, list)):
        return ("mapping" if isinstance(value, dict) else "list"), ""
    return read_scalar(msgspec.Raw(encode(value)))  # what a step set before


def is_null(value: Any) -> bool:
    """Whether ``value`` is null."""
    return value is None or (isinstance(value, msgspec.Raw) and memoryview(value)[0] == ord("n"))


def find_places(container: Any, parts: tuple[PathPart, ...]) -> Iterator[tuple[Any, Any]]:
    """Yields every place that a path leads to: a mapping and a name in it, or a list and an index.

    Mappings and lists on the way are opened. A place that is absent, or not behind mappings and lists as the path says,
    is left out. Do not change a container before its places are all taken.
    """
    part, rest = parts[0], parts[1:]
    if part.pattern is None:
        names = (part.name,) if part.name in container else ()
    else:
        names = tuple(name for name in container if part.pattern.fullmatch(name))
    for name in names:
        places: Iterator[tuple[Any, Any]] = iter(((container, name),))
        for _ in range(part.items):
            places = _find_items(places)
        if not rest:
            yield from places
            continue
        for holder, key in places:
            inner = open_member(holder, key)
            if isinstance(inner, dict):
                yield from find_places(inner, rest)


def _find_items(places: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    for holder, key in places:
        inner = open_member(holder, key)
        if isinstance(inner, list):
            yield from ((inner, index) for index in range(len(inner)))


def find_mappings(record: Members, parts: tuple[PathPart, ...]) -> list[Members]:
    """Returns the mappings at a path, opened; the record itself without parts."""
    if not parts:
        return [record]
    opened = [open_member(holder, key) for holder, key in find_places(record, parts)]
    return [mapping for mapping in opened if isinstance(mapping, dict)]


def take_member(mapping: Members, names: tuple[str, ...]) -> Any:
    """Removes the value below ``names`` and returns it; ``ABSENT`` without one."""
    for name in names[:-1]:
        inner = open_member(mapping, name) if name in mapping else None
        if not isinstance(inner, dict):
            return ABSENT
        mapping = inner
    return mapping.pop(names[-1], ABSENT)


def put_member(mapping: Members, names: tuple[str, ...], value: Any, step: str) -> None:
    """Writes ``value`` below ``names``; mappings on the way are made where they are absent or null.

    Raises:
        InvalidRecord: something else is on the way.
    """
    for depth, name in enumerate(names[:-1], 1):
        if name not in mapping or is_null(mapping[name]):
            mapping[name] = {}
        inner = open_member(mapping, name)
        if not isinstance(inner, dict):
            raise InvalidRecord(
                f"fields.{step} cannot write the field {'.'.join(names)!r}, because {'.'.join(names[:depth])!r} is a "
                f"{describe_kind(inner)}",
                hint=f"Write another path under fields.{step}.",
            )
        mapping = inner
    mapping[names[-1]] = value


def has_member(mapping: Members, names: tuple[str, ...]) -> bool:
    """Whether there is a value, null included, below ``names``."""
    for name in names[:-1]:
        inner = open_member(mapping, name) if name in mapping else None
        if not isinstance(inner, dict):
            return False
        mapping = inner
    return names[-1] in mapping


def describe_kind(value: Any) -> str:
    """Returns what ``value`` is, as a word."""
    return read_scalar(value)[0]


def describe_value(value: Any, path: str) -> str:
    """Returns what ``value`` is, with its beginning where that may be shown (``record_values``)."""
    kind, text = read_scalar(value)
    if not text or kind in {"null", "mapping", "list"}:
        return "an empty text" if kind == "text" else kind if kind == "null" else f"a {kind}"
    if not is_value_shown(path):
        return describe_hidden(kind, text)
    clean, has_more = cut_text(text)
    return f"the {kind} {clean!r}{'…' if has_more else ''}"


def clash_error(step: str, name: str, hint: str) -> InvalidRecord:
    """Returns the error of a step that would overwrite a field."""
    return InvalidRecord(
        f"fields.{step} would overwrite the field {write_name(name)!r} of the record", hint=hint
    )
