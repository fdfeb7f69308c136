"""Plain data as YAML for people: short, in the order given, and read back as what it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from oauth_taskflow.specs.scalars import plain_scalar

# Words that need no quotes in any YAML: no indicator, and nothing that a reader of YAML 1.1 takes for another type.
_PLAIN = re.compile(r"[A-Za-z_/$][\w./$@-]*\Z", re.ASCII)
_TRAPS = re.compile(r"(?i:y|n|yes|no|on|off)\Z")


def yaml_text(data: dict[str, Any]) -> str:
    """``data``, a mapping of JSON values, as block YAML that ends with a line break."""
    return "".join(f"{line}\n" for line in _mapping(data)) or "{}\n"


def _mapping(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        name = _scalar(key)
        if isinstance(value, dict) and value:
            yield f"{name}:"
            yield from (f"  {line}" for line in _mapping(value))
        elif isinstance(value, list | tuple) and any(
            isinstance(item, dict | list | tuple) for item in value
        ):
            yield f"{name}:"
            yield from (f"  - {json.dumps(item, ensure_ascii=False)}" for item in value)
        elif isinstance(value, list | tuple):
            yield f"{name}: [{', '.join(map(_scalar, value))}]"
        else:
            yield f"{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN.match(value) and not _TRAPS.match(value)
    if plain and plain_scalar(value) == value:
        return str(value)
    return json.dumps(value, ensure_ascii=False)
