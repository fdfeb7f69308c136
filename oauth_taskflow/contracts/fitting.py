"""Compares one record with a schema, value by value: what differs evolves, is left out, or rejects the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.dates import UnreadableDate, build_reader
from oauth_taskflow.record_schema.model import (
    JSON,
    MOST_LEVELS,
    MOST_NESTED_FIELDS,
    NULL,
    FieldType,
    name_kind,
    unite_types,
)
from oauth_taskflow.record_schema.observe import (
    fits_fixed,
    observe_value,
    open_list,
    open_object,
)

_read_text: Callable[[Any], str] = msgspec.json.Decoder(str).decode
_READERS = {"date": build_reader("date"), "timestamp": build_reader("iso")}
# Kinds that no value shows: only a schema says that a text is a date, and that a number has so many digits at most.
_DECLARED = frozenset({*_READERS, "fixed"})
# Kind of a field to the kinds of values that it holds; those of dates are texts that must be read.
_HELD: Mapping[str, frozenset[str]] = {
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "number"}),
    "decimal": frozenset({"integer", "number", "decimal"}),
    "boolean": frozenset({"boolean"}),
    "text": frozenset({"text"}),
}


class Difference(Struct, frozen=True):
    """One place where a record is not as the schema says.

    ``expected`` is None for a field that the schema lacks, ``found`` None for a required field that is absent. ``value`` is
    undecoded.
    """

    path: str
    expected: FieldType | None
    found: FieldType | None
    value: Any = None

    @property
    def is_column(self) -> bool:
        """Whether it is about a field that the schema lacks."""
        return self.expected is None

    def describe(self) -> str:
        """Returns what was found against what was expected."""
        found = "no value" if self.found is None else name_type(self.found)
        if self.expected is None:
            return f"the field {self.path!r} ({found}) is not in the schema"
        return (
            f"the field {self.path!r} has {found}, and the schema says {name_type(self.expected)}"
        )


class Unwanted(Exception):
    """A value is to be left out, and it is an item of a list: the field that holds the list goes."""


# Returns whether the value is kept, as it is; raises for a record that is not.
Decide = Callable[[Difference], bool]


def name_type(kind: FieldType) -> str:
    """Returns the type in words: ``integer``, ``list of text``."""
    if kind.kind == "list":
        return "list" if kind.item is None else f"list of {name_type(kind.item)}"
    return "wide integer" if kind.wide else name_kind(kind)


def holds(kind: FieldType, found: FieldType, value: Any) -> bool:
    """Whether a field of type ``kind`` holds a value of type ``found``, neither of which is an object or list."""
    if kind.kind in _READERS:
        return found.kind == "text" and _is_date(value, kind.kind)
    if kind.kind == "fixed":
        return found.kind in _HELD["decimal"] and fits_fixed(bytes(value).decode(), kind)
    if found.kind not in _HELD.get(kind.kind, ()):
        return False
    return not (kind.kind == "number" and found.wide)


def _is_date(value: Any, kind: str) -> bool:
    try:
        _READERS[kind](_read_text(value))
    except (UnreadableDate, OverflowError, msgspec.MsgspecError):
        return False
    return True


class Fitter:
    """Fits records to a schema; ``decide`` says about each difference what is done."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._is_changed = False

    def fit(
        self, record: Mapping[str, Any], known: Mapping[str, FieldType]
    ) -> tuple[dict[str, FieldType], Any]:
        """Returns the types of the undecoded fields of ``record``, without what is left out, and the record if it changed.

        Raises:
            Exception: as ``decide`` raises.
        """
        self._is_changed = False
        fields = dict(record)
        types = self._fit_fields(fields, known, "", 0)
        return types, msgspec.Raw(encode(fields)) if self._is_changed else None

    def _fit_fields(
        self, fields: dict[str, Any], known: Mapping[str, FieldType], path: str, level: int
    ) -> dict[str, FieldType]:
        types: dict[str, FieldType] = {}
        for name in list(fields):
            place = f"{path}{name}"
            try:
                fields[name], types[name] = self._fit_member(
                    fields[name], known.get(name), place, level
                )
            except Unwanted:
                self._is_changed = True
                del fields[name]
        for name, kind in known.items():
            if not kind.nullable and name not in fields:
                self._decide(Difference(f"{path}{name}", kind, None))
        return types

    def _fit_member(
        self, value: Any, known: FieldType | None, path: str, level: int
    ) -> tuple[Any, FieldType]:
        if known is not None:
            return self._fit_value(value, known, path, level)
        found = observe_value(value, level)
        self._ask(Difference(path, None, found, value))
        return value, found

    def _ask(self, difference: Difference) -> None:
        if not self._decide(difference):
            raise Unwanted

    def _fit_value(
        self, value: Any, known: FieldType, path: str, level: int
    ) -> tuple[Any, FieldType]:
        first = memoryview(value)[0]
        if known.kind == "json":
            found = NULL if first == ord("n") else known
            return self._fit_null(value, known, path) if found is NULL else (value, found)
        if first == ord("n"):
            return self._fit_null(value, known, path)
        if level < MOST_LEVELS and known.kind == "object" and first == ord("{"):
            return self._fit_object(value, known, path, level)
        if level < MOST_LEVELS and known.kind == "list" and first == ord("["):
            return self._fit_list(value, known, path, level)
        found = observe_value(value, level)
        if holds(known, found, value):
            return value, known if known.kind in _DECLARED else found
        self._ask(Difference(path, known, found, value))
        return value, found

    def _fit_null(self, value: Any, known: FieldType, path: str) -> tuple[Any, FieldType]:
        if not known.nullable:
            self._ask(Difference(path, known, NULL, value))
        return value, NULL

    def _fit_object(
        self, value: Any, known: FieldType, path: str, level: int
    ) -> tuple[Any, FieldType]:
        fields = dict(open_object(value) or {})
        if len(fields) > MOST_NESTED_FIELDS:
            self._ask(Difference(path, known, JSON, value))
            return value, JSON
        before, self._is_changed = self._is_changed, False
        types = self._fit_fields(fields, known.fields, f"{path}.", level + 1)
        made = fields if self._is_changed else value
        self._is_changed = self._is_changed or before
        return made, FieldType("object", fields=types)

    def _fit_list(
        self, value: Any, known: FieldType, path: str, level: int
    ) -> tuple[Any, FieldType]:
        place, united = f"{path}[]", None
        items, before, self._is_changed = [], self._is_changed, False
        for each in open_list(value):
            if known.item is None:
                found = observe_value(each, level + 1)
                self._ask(Difference(place, FieldType("list"), found, each))
                made: Any = each
            else:
                made, found = self._fit_value(each, known.item, place, level + 1)
            items.append(made)
            united = found if united is None else unite_types(united, found, level=level + 1)
        made_list = items if self._is_changed else value
        self._is_changed = self._is_changed or before
        return made_list, FieldType("list", item=united)
