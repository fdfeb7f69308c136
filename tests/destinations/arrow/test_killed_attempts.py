"""Attempts of Parquet and Arrow runs that are killed at their writes, or at once: all or nothing, then exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.destinations.arrow.wider_run import (
    FULL,
    GATE,
    IDS,
    NEVER,
    TABLES,
    Committed,
    WiderAttempt,
    commit_all,
    place_kill,
    read_committed,
    shrink_groups,
)
from tests.support.lanes import gate_and_full

pytestmark = pytest.mark.slow

OPENER = "tests.destinations.attempts"


def run(folder: Path, name: str, tag: str, *die_at: int) -> tuple[str, int]:
    return WiderAttempt(str(folder), OPENER, name, tag, *die_at).finish()


def check_whole(found: Committed | None, tag: str | None = None) -> Committed:
    assert found is not None
    assert found.ids == IDS
    assert tag is None or found.tags == {tag}
    return found


@pytest.fixture(scope="module")
def boundaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many boundaries an attempt of each format has that replaces nothing."""
    found = {}
    for name in TABLES:
        outcome, found[name] = run(tmp_path_factory.mktemp(name), name, "x", NEVER)
        assert outcome == "won"
    return found


@pytest.mark.parametrize("step", gate_and_full(range(GATE), range(GATE, FULL)))
@pytest.mark.parametrize("name", TABLES)
def test_a_kill_at_any_write_shows_all_or_nothing_and_the_next_attempt_everything_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    boundaries: dict[str, int],
    name: str,
    step: int,
) -> None:
    shrink_groups(monkeypatch.setattr)
    commit_all(tmp_path, name, "old")
    killed_at = place_kill(step, boundaries[name])
    assert run(tmp_path, name, "new", killed_at) == ("killed", 0)
    shown = read_committed(tmp_path)
    if shown is not None:  # a disk shows nothing for a moment, between two renames
        assert check_whole(shown).tags in ({"old"}, {"new"})
    commit_all(tmp_path, name, "new")
    after = check_whole(read_committed(tmp_path), "new")
    assert after.ours == sorted(["_manifest.json", *after.files])


@pytest.mark.parametrize("name", TABLES)
def test_of_attempts_at_once_one_wins_and_nothing_of_the_others_stays(
    tmp_path: Path, name: str
) -> None:
    tags = ["a", "b", "c"]
    attempts = [WiderAttempt(str(tmp_path), OPENER, name, tag) for tag in tags]
    for attempt in attempts:
        attempt.wait_until_ready()
    outcomes = [attempt.finish()[0] for attempt in attempts]
    assert sorted(outcomes) == ["lost", "lost", "won"]
    found = check_whole(read_committed(tmp_path))
    assert found.ours == sorted(["_manifest.json", *found.files])
