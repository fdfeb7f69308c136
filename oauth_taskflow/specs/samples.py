"""Examples of values for messages, taken from the documentation of the model."""

from __future__ import annotations

from typing import Any

import yaml

from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.problem import YamlPath

_LONGEST = 120


def sample_text(path: YamlPath) -> str:
    """``For example paginate: {type: link}`` for the value at ``path``; empty where the model has no example."""
    names = [part for part in path if isinstance(part, str)]
    found = _sample(path)
    if found is None or not names:
        return ""
    shown = yaml.safe_dump(found, default_flow_style=True, width=10_000, sort_keys=False)
    text = f"{names[-1]}: {shown.strip().removesuffix('...').strip()}"
    return f"For example {text}." if len(text) <= _LONGEST else ""


def _sample(path: YamlPath) -> Any:
    root = spec_schema(merged=True)
    schema: Any = root
    sample: Any = None
    for part in path:
        within = _resolve(schema, root, "array" if isinstance(part, int) else "object")
        if isinstance(part, int):
            schema, own = within.get("items", {}), None
        elif part in within.get("properties", {}):
            schema, own = within["properties"][part], None
        else:
            # A name of the author's own: what the mapping's example has under its first name.
            schema = within.get("additionalProperties")
            own = next(iter(sample.values()), None) if isinstance(sample, dict) else None
        if not isinstance(schema, dict):
            return None
        sample = next(iter(schema.get("examples", ())), own)
    return sample


def _resolve(schema: Any, root: Any, kind: str) -> Any:
    """``schema`` without a reference: of several kinds the one of JSON type ``kind``."""
    if "$ref" in schema:
        return root["$defs"][schema["$ref"].rpartition("/")[2]]
    kinds = [_resolve(one, root, kind) for one in schema.get("anyOf", ())]
    return next((one for one in kinds if one.get("type") == kind), schema)
