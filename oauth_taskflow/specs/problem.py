"""A problem in a spec, with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]
YamlPath = tuple[str | int, ...]
_MOST_NAMES = 3


def path_text(path: YamlPath) -> str:
    """``path`` as people write it: ``endpoints.contacts.responses[0].status``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            # A line break in a key must not break the line that people and editors read.
            shown = part if part.isprintable() else repr(part)[1:-1]
            text += f".{shown}" if text else shown
    return text


@dataclass(frozen=True, order=True)
class Problem:
    """A problem with its place and a hint; ``str()`` is the line that people and editors read.

    ``line`` and ``col`` count from 1. ``where`` is the YAML path, empty for the file as a whole. ``endpoints`` are those
    that take the value from the defaults. Problems sort in file order.
    """

    path: str
    line: int
    col: int
    level: Level
    where: str
    message: str
    rule: str
    hint: str = ""
    endpoints: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether the spec cannot be used; warnings leave it usable."""
        return self.level == "error"

    @property
    def place(self) -> str:
        """``where``, and the endpoints that it is wrong for; empty for the file as a whole."""
        if not self.endpoints:
            return self.where
        names = ", ".join(self.endpoints[:_MOST_NAMES])
        more = len(self.endpoints) - _MOST_NAMES
        return f"{self.where} (in {names}{f' and {more} more' if more > 0 else ''})"

    def __str__(self) -> str:
        where = f" {self.place}:" if self.where else ""
        hint = f" {self.hint}" if self.hint else ""
        place = f"{self.path}:{self.line}:{self.col}"
        return f"{place}: {self.level}:{where} {self.message}.{hint} [{self.rule}]"


@dataclass(frozen=True)
class Finding:
    """A problem before it has a place in a file: ``path`` says which value of the spec is meant.

    ``at_key`` points at the key instead of its value.
    """

    path: YamlPath
    message: str
    hint: str = ""
    at_key: bool = False
