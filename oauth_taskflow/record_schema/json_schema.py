"""Record schemas as JSON Schema 2020-12, and back.

Both directions keep everything: what ``schema_to_json`` writes, ``schema_from_json`` reads as the same schema. Of JSON Schema's
words those are read that say what a record schema says; every other one is refused with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.errors import SpecError
from oauth_taskflow.record_schema.model import (
    JSON,
    MOST_LEVELS,
    NULL,
    FieldType,
    RecordSchema,
    name_kind,
    read_fixed,
    unite_types,
)
from oauth_taskflow.suggestions import did_you_mean

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: dict[str, dict[str, Any]] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "decimal": {"type": "number", "format": "decimal"},
    "text": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
}
_NOT_NULL = ["boolean", "number", "string", "array", "object"]
# Words that say nothing about the shape of a value.
_NOTES = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"}
    | {"readOnly", "writeOnly"}
)
_KNOWN = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items"}),
    "string": frozenset({"format"}),
    "number": frozenset({"format"}),
    "integer": frozenset({"format"}),
}
_ALL_KNOWN = _NOTES | {"type", "anyOf"}.union(*_KNOWN.values())
_FORMATS = {
    ("string", "date"): FieldType("date"),
    ("string", "date-time"): FieldType("timestamp"),
    ("number", "decimal"): FieldType("decimal"),
    ("integer", "int64"): FieldType("integer", wide=True),
}
_PLAIN = {
    "null": NULL,
    "boolean": FieldType("boolean"),
    "integer": FieldType("integer"),
    "number": FieldType("number"),
    "string": FieldType("text"),
}


def schema_to_json(schema: RecordSchema) -> dict[str, Any]:
    """Returns ``schema`` as a JSON Schema of one record.

    A field that may be absent or null is not required, and its type has null.
    """
    return {"$schema": DIALECT, **_write_object(schema.fields)}


def _write_object(fields: Mapping[str, FieldType]) -> dict[str, Any]:
    written: dict[str, Any] = {
        "type": "object",
        "properties": {name: _write_type(kind) for name, kind in fields.items()},
    }
    required = [name for name, kind in fields.items() if not kind.nullable]
    return {**written, "required": required} if required else written


def _write_type(kind: FieldType) -> dict[str, Any]:
    if kind.kind == "json":
        return {} if kind.nullable else {"type": _NOT_NULL}
    written = _write_plain(kind)
    if kind.nullable and kind.kind != "null":
        written["type"] = [written["type"], "null"]
    return written


def _write_plain(kind: FieldType) -> dict[str, Any]:
    if kind.kind == "object":
        return _write_object(kind.fields)
    if kind.kind == "list":
        return {"type": "array", "items": False if kind.item is None else _write_type(kind.item)}
    if kind.wide:
        return {"type": "integer", "format": "int64"}
    if kind.kind == "fixed":
        return {"type": "number", "format": name_kind(kind)}
    return dict(_SCALARS[kind.kind])


def schema_from_json(document: Any) -> RecordSchema:
    """Returns the record schema that a JSON Schema says.

    Raises:
        SpecError: it is not a schema of objects, or has words that a record schema has no place for; each is named with
            its JSON Pointer.
    """
    reader = _Reader()
    found = reader.read(document, "", 0)
    if not reader.flaws and (found.kind != "object" or found.nullable):
        reader.flaws.append("#: the schema of a record has type object, and properties")
    if reader.flaws:
        raise SpecError(reader.flaws)
    return RecordSchema(found.fields)


class _Reader:
    """Reads schemas, and collects what it cannot read."""

    def __init__(self) -> None:
        self.flaws: list[str] = []

    def read(self, schema: Any, place: str, level: int) -> FieldType:
        """Returns the type that ``schema`` says; ``place`` is its JSON Pointer."""
        if schema is True:
            return JSON
        if not isinstance(schema, dict):
            return self._refuse(place, "a schema is a mapping")
        if level > MOST_LEVELS + 1:
            return JSON
        if "anyOf" in schema:
            return self._read_any_of(schema, place, level)
        if "type" not in schema:
            self._refuse_unknown(schema, place, _NOTES)
            return JSON
        return self._read_types(schema, place, level)

    def _read_types(self, schema: dict[str, Any], place: str, level: int) -> FieldType:
        given = schema["type"]
        names = [given] if isinstance(given, str) else given
        if not _are_names(names) or not names:
            text = 'a type is a name or a list of names; null is written "null", in quotes'
            return self._refuse(f"{place}/type", text)
        kinds = [name for name in names if name != "null"]
        allowed = _NOTES.union({"type"}, *(_KNOWN.get(name, ()) for name in kinds))
        self._refuse_unknown(schema, place, allowed)
        if sorted(kinds) == sorted(_NOT_NULL):
            return replace(JSON, nullable="null" in names)
        types = [self._read_named(name, schema, place, level) for name in kinds] or [NULL]
        united = types[0]
        for each in types[1:]:
            united = unite_types(united, each, level=level)
        return replace(united, nullable=True) if "null" in names else united

    def _read_named(self, name: str, schema: dict[str, Any], place: str, level: int) -> FieldType:
        if name == "object":
            return self._read_object(schema, place, level)
        if name == "array":
            return self._read_list(schema, place, level)
        if name not in _PLAIN:
            return self._refuse(f"{place}/type", f"there is no type {name!r}", name, _PLAIN)
        form = str(schema.get("format"))
        if name == "number":
            try:
                return read_fixed(form) or _FORMATS.get((name, form), _PLAIN[name])
            except ValueError as error:
                return self._refuse(f"{place}/format", str(error))
        return _FORMATS.get((name, form), _PLAIN[name])

    def _read_object(self, schema: dict[str, Any], place: str, level: int) -> FieldType:
        if not isinstance(schema.get("additionalProperties", False), bool):
            self._refuse(f"{place}/additionalProperties", "it is true or false here")
        if "properties" not in schema:
            return FieldType("json") if level else self._refuse(place, "it has no properties")
        properties, required = schema["properties"], schema.get("required", [])
        if not isinstance(properties, dict):
            return self._refuse(f"{place}/properties", "properties are a mapping")
        if not _are_names(required):
            return self._refuse(f"{place}/required", "it is a list of names")
        for name in required:
            if name not in properties:
                self._refuse(f"{place}/required", f"{name!r} is not among the properties")
        fields = {}
        for name, inner in properties.items():
            read = self.read(inner, f"{place}/properties/{_escape(str(name))}", level + 1)
            fields[str(name)] = read if name in required else replace(read, nullable=True)
        return FieldType("object", fields=fields)

    def _read_list(self, schema: dict[str, Any], place: str, level: int) -> FieldType:
        items = schema.get("items", True)
        if items is False:
            return FieldType("list")
        return FieldType("list", item=self.read(items, f"{place}/items", level + 1))

    def _read_any_of(self, schema: dict[str, Any], place: str, level: int) -> FieldType:
        self._refuse_unknown(schema, place, _NOTES | {"anyOf"})
        choices = schema["anyOf"]
        if not isinstance(choices, list) or not choices:
            return self._refuse(f"{place}/anyOf", "it is a list of schemas")
        types = [self.read(each, f"{place}/anyOf/{n}", level) for n, each in enumerate(choices)]
        united = types[0]
        for each in types[1:]:
            united = unite_types(united, each, level=level)
        return united

    def _refuse_unknown(self, schema: dict[str, Any], place: str, allowed: frozenset[str]) -> None:
        for word in schema:
            if word not in allowed:
                text = f"{word!r} is not read here"
                self._refuse(f"{place}/{_escape(str(word))}", text, str(word), _ALL_KNOWN)

    def _refuse(self, place: str, text: str, word: str = "", known: Any = frozenset()) -> FieldType:
        hint = did_you_mean(word, sorted(known - {word} if isinstance(known, frozenset) else known))
        self.flaws.append(f"#{place}: {text}" + (f". {hint}" if word and hint else ""))
        return JSON


def _are_names(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(name, str) for name in given)


def _escape(name: str) -> str:
    """Returns ``name`` as a part of a JSON Pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")
