"""One finding in a spec, with the place a person has to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Level = Literal["error", "warning"]
YamlPath = tuple[str | int, ...]


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
    """What is wrong, where, and what to do; ``str()`` is the line that people and editors read.

    ``line`` and ``col`` count from 1. ``where`` is the YAML path, empty for the file as a whole. Problems sort in
    file order.
    """

    path: str
    line: int
    col: int
    level: Level
    where: str
    message: str
    rule: str
    hint: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the spec cannot be used; warnings leave it usable."""
        return self.level == "error"

    def __str__(self) -> str:
        where = f" {self.where}:" if self.where else ""
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


# Longer words are no typos, and comparing them takes time that grows with the square of their length.
_LONGEST_WORD = 100
# Comparing costs microseconds a name: with more names, only those that begin alike are looked at.
_MOST_COMPARED = 300


def nearest(word: object, allowed: Iterable[str]) -> str:
    """A hint for a ``word`` that is not among ``allowed``: the nearest one, and all of them when they are few."""
    names = list(allowed)
    close = nearest_name(str(word), names)
    hint = f"Did you mean {close!r}?" if close else ""
    few = 8 if close else 30
    if not names or len(names) > few:
        return hint
    return f"{hint} Allowed: {', '.join(sorted(names))}.".strip()


def nearest_name(word: str, allowed: Iterable[str]) -> str:
    """The one of ``allowed`` that is most like ``word``; empty when none is."""
    close = get_close_matches(word, _comparable(word, list(allowed)), n=1, cutoff=0.6)
    return close[0] if close else ""


def _comparable(word: str, names: list[str]) -> list[str]:
    """Those of ``names`` that can be 60 percent alike, at most ``_MOST_COMPARED`` of them, sorted."""
    length = len(word)
    if length > _LONGEST_WORD:
        return []
    similar = [name for name in names if 3 * length <= 7 * len(name) <= 17 * length]
    if len(similar) > _MOST_COMPARED:
        similar = [name for name in similar if name[:1].lower() == word[:1].lower()]
    return sorted(similar)[:_MOST_COMPARED]
