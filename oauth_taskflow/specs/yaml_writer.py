"""Plain data as YAML for people: short, in the order given, and read back as what it was."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from oauth_taskflow.specs.yaml_scalars import plain_scalar

# Words that need no quotes in any YAML: no indicator, and nothing that a reader of YAML 1.1 takes for another type.
_PLAIN = re.compile(r"[A-Za-z_/$][\w./$@-]*\Z", re.ASCII)
_TRAPS = re.compile(r"(?i:y|n|yes|no|on|off)\Z")
# Characters that YAML reads as line breaks or refuses, and JSON allows in a text.
_UNREADABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode


def yaml_text(data: dict[str, Any]) -> str:
    """``data``, a mapping of JSON values, as block YAML that ends with a line break."""
    lines: list[str] = []
    _add(lines, "", data)
    return "".join(lines) or "{}\n"


def _quote(value: Any) -> str:
    return _UNREADABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value))


def _add(lines: list[str], indent: str, data: dict[str, Any]) -> None:
    for key, value in data.items():
        if isinstance(value, str):  # most values are: asking for texts first halves the time
            lines.append(f"{indent}{_text(key)}: {_text(value)}\n")
        elif isinstance(value, dict) and value:
            lines.append(f"{indent}{_text(key)}:\n")
            _add(lines, f"{indent}  ", value)
        elif isinstance(value, list | tuple):
            _add_list(lines, f"{indent}{_text(key)}:", indent, value)
        else:
            lines.append(f"{indent}{_text(key)}: {_quote(value)}\n")


def _add_list(lines: list[str], name: str, indent: str, items: list[Any] | tuple[Any, ...]) -> None:
    if any(isinstance(item, dict | list | tuple) for item in items):
        lines.append(f"{name}\n")
        lines += [f"{indent}  - {_quote(item)}\n" for item in items]
    else:
        lines.append(f"{name} [{', '.join(map(_scalar, items))}]\n")


def _scalar(value: Any) -> str:
    return _text(value) if isinstance(value, str) else _quote(value)


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    plain = _PLAIN.match(value) and not _TRAPS.match(value) and plain_scalar(value) == value
    return value if plain else _quote(value)
