"""Paths of fields in a record: names with dots, ``[]`` for each item of a list, ``*`` inside a name."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

_PART = re.compile(r'(?:"((?:[^"\\]|\\.)+)"|([^."\[\]@\s](?:[^."\[\]]*[^."\[\]\s])?))((?:\[\])*)')
_MARKS = '."[]@'


class PathPart(Struct, frozen=True):
    """One name of a path; ``items`` counts the ``[]`` behind it, ``pattern`` is set for a name with ``*``."""

    name: str
    items: int = 0
    pattern: re.Pattern[str] | None = None

    def matches(self, name: str) -> bool:
        """Whether the part means a field of this name."""
        return name == self.name if self.pattern is None else bool(self.pattern.fullmatch(name))


class FieldPath(Struct, frozen=True):
    """A path, as a spec writes it and as parts."""

    text: str
    parts: tuple[PathPart, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(part.name for part in self.parts)

    @property
    def has_pattern(self) -> bool:
        """Whether a name has ``*`` in it."""
        return any(part.pattern is not None for part in self.parts)

    @property
    def has_items(self) -> bool:
        """Whether the path goes through the items of a list."""
        return any(part.items for part in self.parts)

    @property
    def only_name(self) -> str | None:
        """The name, if the path is a single one without marks."""
        first = self.parts[0]
        return first.name if len(self.parts) == 1 and first == PathPart(first.name) else None

    def split(self) -> tuple[tuple[PathPart, ...], tuple[str, ...]]:
        """Returns the parts up to the last ``[]``, and the names behind them."""
        last = max((n for n, part in enumerate(self.parts, 1) if part.items), default=0)
        return self.parts[:last], self.names[last:]


@lru_cache(maxsize=4096)
def parse_field_path(text: str) -> FieldPath:
    """Returns the path that ``text`` writes.

    Raises:
        ValueError: it is not a path; the text says why.
    """
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(_find_flaw(text, position))
        parts.append(_build_part(*match.groups()))
        position = match.end()
        if position == len(text):
            return FieldPath(text, tuple(parts))
        if text[position] != ".":
            raise ValueError(_find_flaw(text, position))
        position += 1


def _build_part(quoted: str | None, bare: str | None, items: str) -> PathPart:
    if quoted is not None:
        return PathPart(re.sub(r"\\(.)", r"\1", quoted), len(items) // 2)
    name = bare or ""
    pattern = None
    if "*" in name:
        pattern = re.compile(".*".join(map(re.escape, name.split("*"))), re.DOTALL)
    return PathPart(name, len(items) // 2, pattern)


def _find_flaw(text: str, position: int) -> str:
    if position >= len(text):
        return "it ends with a dot"
    if text[position] in _MARKS:
        return f"there is no name before {text[position : position + 10]!r}"
    return f"{text[position : position + 10]!r} does not belong there"


def write_name(name: str) -> str:
    """Returns ``name`` as a path of one part, in quotes where it needs them."""
    if set(name) & set(_MARKS) or "*" in name or name != name.strip() or not name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return name
