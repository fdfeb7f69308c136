"""A model of ``msgspec`` types as JSON Schema that editors show well: each property titled and describe_model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
Schema = dict[str, Any]


def describe_model(
    model: type[msgspec.Struct], *, default_tags: Collection[str] = ()
) -> dict[str, Schema]:
    """Returns the schema of ``model`` and of every type it refers to, by name.

    A mapping without ``type`` is of the kind that is among ``default_tags``.
    """
    definitions: dict[str, Schema] = msgspec.json.schema(model)["$defs"]
    return {name: _definition(definition, default_tags) for name, definition in definitions.items()}


def _definition(definition: Schema, default_tags: Collection[str]) -> Schema:
    required = list(definition["required"])
    properties = {
        name: {"title": name.replace("_", " ").capitalize(), **_tidy(schema)}
        for name, schema in definition["properties"].items()
    }
    for name, schema in properties.items():
        if "description" in schema:
            continue
        (tag,) = schema.pop("enum")  # only the tag of a union comes without its own
        properties[name] = _tag_schema(tag, definition["description"], default_tags)
        if tag in default_tags:
            required.remove(name)
    kept = {
        key: value for key, value in definition.items() if key not in {"required", "properties"}
    }
    if required:
        kept["required"] = required
    return {**kept, "properties": properties}


def _tag_schema(tag: str, kind: str, default_tags: Collection[str]) -> Schema:
    schema: Schema = {
        "title": "Type",
        "description": f"Selects this kind: {kind}",
        "examples": [tag],
        "type": "string",
    }
    if tag in default_tags:
        return {**schema, "enum": [tag], "default": tag}
    return {**schema, "const": tag}


def _tidy(schema: Schema) -> Schema:
    """``schema`` without defaults of null, and with a type for each enumeration."""
    tidy: Schema = {}
    for key, value in schema.items():
        if key == "anyOf":
            tidy.update(_branches([_tidy(branch) for branch in value]))
        elif key in {"items", "additionalProperties", "propertyNames"} and isinstance(value, dict):
            tidy[key] = _tidy(value)
        elif key != "default" or value is not None:
            tidy[key] = value
    if "enum" in tidy and "type" not in tidy:
        tidy["type"] = _JSON_TYPES[type(tidy["enum"][0])]
    return tidy


def _branches(branches: list[Schema]) -> Schema:
    """``anyOf``; "this scalar or null" becomes one plain schema, which editors show better."""
    if len(branches) == 2 and branches[1] == {"type": "null"} and "type" in branches[0]:
        only = {k: v for k, v in branches[0].items() if k not in {"description", "examples"}}
        return or_null(only)
    return {"anyOf": branches}


def or_null(schema: Schema) -> Schema:
    """``schema``, and null."""
    nullable = {**schema}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        nullable["type"] = [schema["type"], "null"]
    return nullable
