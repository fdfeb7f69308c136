"""The check finds nearly all mistakes that change the meaning of a spec, at their line, within a second.

``SPEC_MUTANTS=all`` in the environment judges every mutant instead of a sample, which takes some minutes.
"""

from __future__ import annotations

import os

import pytest

from tests.specs.mutations.harness import MUTATORS, Figures, all_mutants, bases, judge, sample

SAMPLE = 600


@pytest.fixture(scope="module")
def figures() -> Figures:
    mutants = list(all_mutants())
    whole = os.environ.get("SPEC_MUTANTS") == "all"
    return judge(mutants if whole else sample(mutants, SAMPLE))


@pytest.mark.no_cover
@pytest.mark.slow
def test_most_mistakes_are_caught_at_their_line_within_a_second(
    figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.share_caught >= 0.97, [(m.base, m.kind) for m in figures.missed]
    assert figures.share_placed >= 0.98, [(m.base, m.kind) for m in figures.misplaced]
    assert figures.slowest < 1


@pytest.mark.parametrize("mutate", MUTATORS, ids=lambda mutate: mutate.__name__)
def test_each_kind_of_mistake_can_be_made(mutate: object) -> None:
    assert callable(mutate)
    assert any(True for base in bases() for _ in mutate(base))
