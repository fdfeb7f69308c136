"""Several attempts at one folder on a disk: one whole output is left, and losers touch only their own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.errors import DestinationError
from tests.destinations.attempts import (
    RUN,
    AttemptProcess,
    list_ours,
    race,
    read_committed,
    records,
    summary,
)

OPENER = "tests.destinations.attempts"
LOCAL = "oauth_taskflow.destinations.local_folder:LocalFolder"


def commit(folder: Path, tag: str, rows: int) -> None:
    writer = FolderDestination(folder).open(RUN)
    writer.write(records(tag, rows))
    writer.commit(summary(rows))


@pytest.mark.slow
def test_when_processes_commit_at_once_one_wins_and_its_output_is_whole(
    tmp_path: Path,
) -> None:
    for turn in range(3):
        tags = [f"{turn}-{n}" for n in range(6)]
        outcomes = race(str(tmp_path / "out"), OPENER, tags, 2000)
        assert sorted(outcomes) == ["lost"] * 5 + ["won"]
        found = read_committed(tmp_path / "out")
        assert found is not None
        assert found[0]["tag"] == tags[outcomes.index("won")]
        assert list_ours(tmp_path / "out") == ["_manifest.json", "part-00000.jsonl"]


def test_an_attempt_that_was_overtaken_leaves_the_winner_alone(tmp_path: Path) -> None:
    zombie = FolderDestination(tmp_path).open(RUN)
    zombie.write(records("zombie", 5))
    commit(tmp_path, "retry", 3)
    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        zombie.commit(summary(5))
    zombie.abort()
    assert read_committed(tmp_path) == records("retry", 3)
    assert list_ours(tmp_path) == ["_manifest.json", "part-00000.jsonl"]


def test_opening_a_writer_leaves_other_open_attempts_alone(tmp_path: Path) -> None:
    first = FolderDestination(tmp_path).open(RUN)
    first.write(records("first", 3))
    second = FolderDestination(tmp_path).open(RUN)
    first.commit(summary(3))
    second.abort()
    assert read_committed(tmp_path) == records("first", 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("die_at", "seen"),
    [
        ("oauth_taskflow.destinations.folder_writer:FolderWriter.commit", "old"),
        ("oauth_taskflow.destinations.local_folder:LocalAttempt.publish", "old"),
        # pathlib's classes: the part's rename, the first of two
        ("pathlib:Path.replace", None),
    ],
)
def test_a_killed_attempt_shows_nothing_and_the_next_one_removes_its_files(
    tmp_path: Path, die_at: str, seen: str | None
) -> None:
    commit(tmp_path, "old", 3)
    killed = AttemptProcess(str(tmp_path), OPENER, "killed", 500, die_at)
    killed.wait_until_ready()
    killed.let_go()
    assert killed.outcome() == "killed"
    found = read_committed(tmp_path)
    assert (found[0]["tag"] if found else None) == seen
    commit(tmp_path, "next", 4)
    assert read_committed(tmp_path) == records("next", 4)
    assert list_ours(tmp_path) == ["_manifest.json", "part-00000.jsonl"]


def test_files_of_others_stay(tmp_path: Path) -> None:
    others = ["part-00000-1c2d.snappy.parquet", "part-of-mine.txt", ".hidden.tmp", "notes.json"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    commit(tmp_path, "a", 1)
    commit(tmp_path, "b", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*others, "_manifest.json", "part-00000.jsonl"]
    )
