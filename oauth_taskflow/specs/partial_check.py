"""Runs the rules on the valid part of a spec that has schema errors, so that one round of corrections is enough.

A broken value exists, but its meaning is unknown. The rules therefore look twice: without the broken values, and with an
example of the format in their places. A finding that appears both times does not depend on them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from oauth_taskflow.schema.json_schema import Schema
from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.model import DagSpec
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, SpecView
from oauth_taskflow.specs.schema_errors import schema_findings, to_model
from oauth_taskflow.suggestions import find_closest

_ABSENT = object()
_ROUNDS = 4
_MOST_ERRORS = 500
# A list or a mapping of the author's own names: an example in its place would be other names than those meant.
_NAMES = frozenset({"for_each", "params"})


@dataclass
class Part:
    """The valid part of a document, as model and as data, with a record of its broken values.

    ``broken`` names the endpoints with broken values and the keys above these values; ``emptied`` lost all its values.
    ``nameless`` names the endpoints whose templates may use unknown names; an empty name means all endpoints.
    """

    data: dict[str, Any]
    source: DagSpec
    broken: dict[str, set[str]] = field(default_factory=dict)
    emptied: set[str] = field(default_factory=set)
    nameless: set[str] = field(default_factory=set)

    def note(self, path: YamlPath) -> None:
        """Remember that the value at ``path`` is broken."""
        if path == ("params",):
            self.nameless.add("")
        if len(path) > 1 and path[0] == "endpoints":
            name = str(path[1])
            self.broken.setdefault(name, set()).add(str(path[2]) if len(path) > 2 else "")
            if path[2:] == ("for_each",):
                self.nameless.add(name)


def valid_parts(document: dict[str, Any], found: Iterable[tuple[str, Finding]]) -> list[Part]:
    """Return ``document`` without the broken values, and with examples in their places; empty when too much is broken."""
    errors = list(found)
    parts = [_part(document, errors, examples=False), _part(document, errors, examples=True)]
    return [part for part in parts if part is not None] if all(parts) else []


def _part(
    document: dict[str, Any], errors: list[tuple[str, Finding]], *, examples: bool
) -> Part | None:
    data = copy.deepcopy({key: value for key, value in document.items() if key != "defaults"})
    part = Part(data, DagSpec(version=1, dag_id="", endpoints={}))
    for turn in range(_ROUNDS):
        for rule, finding in errors:
            if finding.path[:1] != ("defaults",):  # the endpoints hold them as well
                part.note(finding.path)
                _clear(part, rule, finding.path, turn, examples=examples)
        source = to_model(data)
        if source is not None:
            part.source = source
            return part
        errors = list(islice(schema_findings(data), _MOST_ERRORS))
    return None


def _clear(part: Part, rule: str, path: YamlPath, turn: int, *, examples: bool) -> None:
    in_endpoint = len(path) > 1 and path[0] == "endpoints"
    if in_endpoint and ((len(path) == 2 and rule != "missing-key") or turn == _ROUNDS - 2):
        part.emptied.add(str(path[1]))
        _put(part.data, path[:2], {})
    else:
        _mend(part.data, rule, path, examples=examples and turn == 0)


def _mend(data: dict[str, Any], rule: str, path: YamlPath, *, examples: bool) -> None:
    if rule == "missing-key":
        _fill(data, path)
        return
    value = _take(data, path)
    if not examples or value is _ABSENT:
        return
    if rule == "unknown-key":
        around = _value_at(data, path[:-1])
        known = find_closest(str(path[-1]), _keys_at(path[:-1]))
        if known and isinstance(around, dict):
            around.setdefault(known, value)
    elif path[-1] not in _NAMES:
        example = _example(path)
        if example is not _ABSENT:
            _put(data, path, copy.deepcopy(example))


def _fill(data: dict[str, Any], path: YamlPath) -> None:
    """Put examples where keys are missing at the top; elsewhere take out what they are missing in."""
    if path:
        _take(data, path)
        return
    for key in spec_schema(merged=True)["required"]:
        if key != "endpoints":
            data.setdefault(key, _example((key,)))


def _value_at(data: Any, path: YamlPath) -> Any:
    for part in path:
        inside = isinstance(data, dict) and part in data
        if not inside and not (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            return _ABSENT
        data = data[part]
    return data


def _take(data: Any, path: YamlPath) -> Any:
    """Remove and return the value at ``path``. In a list this removes the whole list, since the other items would move."""
    while path and not isinstance(_value_at(data, path[:-1]), dict):
        path = path[:-1]
    return _value_at(data, path[:-1]).pop(path[-1], _ABSENT) if path else _ABSENT


def _put(data: Any, path: YamlPath, value: Any) -> None:
    around = _value_at(data, path[:-1])
    if isinstance(around, dict):
        around[path[-1]] = value


def _keys_at(path: YamlPath) -> list[str]:
    return [name for schema in _schemas(path) for name in schema.get("properties", ())]


def _example(path: YamlPath) -> Any:
    return next((s["examples"][0] for s in _schemas(path) if s.get("examples")), _ABSENT)


def _schemas(path: YamlPath) -> list[Schema]:
    """Return the schemas that may describe the value at ``path``."""
    found = list(_branches(spec_schema(merged=True)))
    for part in path:
        found = [
            branch
            for schema in found
            for child in _children(schema, part)
            for branch in _branches(child)
        ]
    return found


def _children(schema: Schema, part: str | int) -> Iterator[Schema]:
    if isinstance(part, int):
        inside = [schema.get("items")]
    else:
        named = schema.get("properties", {})
        inside = [named[part]] if part in named else [schema.get("additionalProperties")]
    yield from (child for child in inside if isinstance(child, dict))


def _branches(schema: Schema) -> Iterator[Schema]:
    """``schema`` and what it refers to: definitions, alternatives, kinds."""
    yield schema
    if "$ref" in schema:
        yield from _branches(spec_schema(merged=True)["$defs"][schema["$ref"].rpartition("/")[2]])
    for branch in [*schema.get("anyOf", ()), *schema.get("allOf", ())]:
        yield from _branches(branch.get("then", branch))


def find_affected_endpoints(view: SpecView, emptied: set[str]) -> frozenset[str]:
    """Return the ``emptied`` endpoints and all that take records from them, directly or through others."""
    found = set(emptied)
    while True:
        more = {one.name for one in view.endpoints if one.name not in found and _takes(one, found)}
        if not more:
            return frozenset(found)
        found |= more


def _takes(endpoint: EndpointView, names: set[str]) -> bool:
    return any(parent in names for parent, _ in endpoint.parents.values())
