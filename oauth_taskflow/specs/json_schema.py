"""The JSON Schema of the spec format, generated from the model.

Two readings of one model. As *written*, for editors: an endpoint may leave out what ``defaults`` give and may remove
it with null. As *merged*, for the check: what an endpoint amounts to once the defaults are under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.schema.json_schema import Schema, describe_model, or_null
from oauth_taskflow.specs.model import DagSpec

SCHEMA_FILE = Path(__file__).with_name("dag_spec.schema.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:oauth-taskflow:dag-spec:1"
_REF = "#/$defs/"


@lru_cache(maxsize=2)
def spec_schema(*, merged: bool = False) -> Schema:
    """The schema of a spec as written, or of a spec whose endpoints have the defaults ``merged`` in.

    The result is shared: do not change it.
    """
    defs = describe_model(DagSpec, default_tags={DEFAULT_KIND})
    if not merged:
        for name in _mergeable(defs):
            _allow_null(defs[name])
    root = defs.pop("DagSpec")
    for definition in [root, *defs.values()]:
        for schema in definition["properties"].values():
            _state_unions(schema, defs, merged=merged)
            if isinstance(schema.get("items"), dict):
                _state_unions(schema["items"], defs, merged=merged, types="object")
    schema = {"$schema": _DIALECT, "$id": _ID, **root, "$defs": defs}
    if merged:
        _join_types(schema)
    return schema


def _join_types(schema: Any) -> None:
    """Turn "any of" bare types into one list of types, which costs a tenth to check and says the same."""
    for child in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(child, dict | list):
            _join_types(child)
    branches = schema.get("anyOf", ()) if isinstance(schema, dict) else ()
    if branches and all(isinstance(b, dict) and set(b) == {"type"} for b in branches):
        types = [b["type"] if isinstance(b["type"], list) else [b["type"]] for b in branches]
        schema["type"] = [name for names in types for name in names]
        del schema["anyOf"]


def _allow_null(definition: Schema) -> None:
    for name, schema in definition["properties"].items():
        if "const" in schema:
            continue
        if "$ref" in schema:
            definition["properties"][name] = {
                **{key: value for key, value in schema.items() if key != "$ref"},
                "anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}],
            }
        elif "anyOf" in schema:
            if {"type": "null"} not in schema["anyOf"]:
                schema["anyOf"].append({"type": "null"})
        elif isinstance(schema.get("additionalProperties"), dict):
            schema.update(or_null({**schema}))
            values = schema["additionalProperties"]
            if "anyOf" in values:
                _allow_null({"properties": {"": values}})
            else:
                schema["additionalProperties"] = or_null(values)
        else:
            schema.update(or_null({**schema}))


def _mergeable(defs: dict[str, Schema]) -> list[str]:
    """The definitions that are merged key by key: all below Endpoint but those inside lists."""
    reached: dict[str, None] = {}
    pending = {"Endpoint"}
    while pending:
        reached |= dict.fromkeys(sorted(pending))
        schemas = [s for name in pending for s in defs[name]["properties"].values()]
        pending = {child for schema in schemas for child in _references(schema)} - set(reached)
    return list(reached)


def _references(schema: Schema) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].removeprefix(_REF)
    for branch in schema.get("anyOf", ()):
        yield from _references(branch)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        yield from _references(values)


def _state_unions(
    schema: Schema,
    defs: dict[str, Schema],
    *,
    merged: bool,
    types: str | tuple[str, ...] = ("object", "null"),
) -> None:
    """Turn "any of these kinds" into "if type is x, then it is this kind": one clear error instead of seven."""
    # The union itself, as items of a list are; or one of several branches, where it may be null.
    unions = [branch for branch in (schema, *schema.get("anyOf", ())) if "discriminator" in branch]
    for union in unions:
        mapping: dict[str, str] = union.pop("discriminator")["mapping"]
        schema.pop("anyOf")
        schema |= {
            "type": types if isinstance(types, str) else list(types),
            "properties": {"type": {**_tag_schema(mapping, defs)}},
            "allOf": [
                {
                    "if": {
                        "type": "object",
                        "properties": {"type": {"const": tag}},
                        "required": ["type"],
                    },
                    "then": {"$ref": ref},
                }
                for tag, ref in mapping.items()
            ],
        }
        if merged:
            schema["allOf"].append({"if": {"type": "object"}, "then": {"required": ["type"]}})
        else:
            names = {
                name
                for ref in mapping.values()
                for name in defs[ref.removeprefix(_REF)]["properties"]
            }
            schema["propertyNames"] = {"enum": sorted(names)}


def _tag_schema(mapping: dict[str, str], defs: dict[str, Schema]) -> Schema:
    kinds = "; ".join(
        f"{tag}: {defs[ref.removeprefix(_REF)]['description']}" for tag, ref in mapping.items()
    )
    return {
        "title": "Type",
        "description": f"Which kind. {kinds}",
        "examples": list(mapping)[:1],
        "type": "string",
        "enum": list(mapping),
    }
