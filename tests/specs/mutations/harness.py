"""Checks mutants: which are caught, where, how fast, and which mean the same as the original."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from msgspec.structs import replace

from oauth_taskflow.specs.check import CheckedSpec, check_text
from oauth_taskflow.specs.model import Endpoint
from tests.specs.mutations import keys, texts, values
from tests.specs.mutations.sites import Base, Mutant
from tests.support.timed import time_action

ROOT = Path(__file__).resolve().parents[3]
CORPUS = [
    *sorted((ROOT / "tests" / "specs" / "valid").glob("*.yaml")),
    *sorted((ROOT / "dag_specs").glob("*.yaml")),
]
MUTATORS: tuple[Callable[[Base], Iterator[Mutant]], ...] = (
    keys.misspelt_keys,
    keys.dropped_keys,
    keys.duplicated_keys,
    keys.moved_keys,
    keys.foreign_options,
    values.wrong_types,
    values.wrong_enums,
    values.wrong_numbers,
    values.wrong_zones,
    values.wrong_schedules,
    values.wrong_dates,
    values.wrong_durations,
    values.wrong_formats,
    values.wrong_expressions,
    values.wrong_paths,
    values.secrets,
    texts.misspelt_names,
    texts.lost_braces,
    texts.lost_quotes,
    texts.lost_brackets,
    texts.lost_colons,
    texts.indentation,
    texts.collisions,
    texts.parents,
    texts.look_alikes,
)


@dataclass
class Figures:
    """The mutants that were caught, and those that were not."""

    caught: Counter[str] = field(default_factory=Counter)
    missed: list[Mutant] = field(default_factory=list)
    misplaced: list[Mutant] = field(default_factory=list)
    neutral: int = 0
    slowest: float = 0.0

    @property
    def share_caught(self) -> float:
        """The share of mutants with another meaning that the check caught."""
        caught = self.caught.total()
        return caught / (caught + len(self.missed))

    @property
    def share_placed(self) -> float:
        """The share of caught mutants whose problem names a right line."""
        return 1 - len(self.misplaced) / self.caught.total()

    def __str__(self) -> str:
        caught = self.caught.total()
        return (
            f"{caught + len(self.missed)} mutants that mean something else and {self.neutral} that do not: "
            f"{self.share_caught:.2%} caught, {self.share_placed:.2%} of them at the right line, "
            f"slowest {self.slowest:.2f} s"
        )


@lru_cache(maxsize=1)
def bases() -> tuple[Base, ...]:
    """Every good spec."""
    return tuple(Base(path.stem, path.read_text(encoding="utf-8")) for path in CORPUS)


def all_mutants() -> Iterator[Mutant]:
    """Every mutant of every good spec, each text once."""
    seen: set[str] = set()
    for base in bases():
        seen.add(base.text)
        for mutate in MUTATORS:
            for mutant in mutate(base):
                if mutant.text not in seen:
                    seen.add(mutant.text)
                    yield mutant


def sample(mutants: Iterable[Mutant], count: int) -> list[Mutant]:
    """The same ``count`` of ``mutants`` at each run, spread over bases and kinds."""
    return sorted(mutants, key=lambda mutant: zlib.crc32(mutant.text.encode()))[:count]


def judge(mutants: Iterable[Mutant]) -> Figures:
    """Check each of ``mutants`` and compare it with its original."""
    originals = {path.stem: check_text(path.read_text(encoding="utf-8")) for path in CORPUS}
    figures = Figures()
    for mutant in mutants:
        checked, seconds = time_action(partial(check_text, mutant.text))
        figures.slowest = max(figures.slowest, seconds)
        if not checked.problems:
            same = _meaning(checked) == _meaning(originals[mutant.base])
            figures.neutral += same
            figures.missed += [] if same else [mutant]
            continue
        figures.caught[mutant.kind] += 1
        if not mutant.lines & {problem.line for problem in checked.problems}:
            figures.misplaced.append(mutant)
    return figures


def _meaning(checked: CheckedSpec) -> object:
    assert checked.spec is not None
    # The endpoints alone: a default that no endpoint takes over means nothing.
    return replace(checked.spec.source, defaults=Endpoint(), endpoints={}), checked.spec.endpoints
