"""A lease names its holder; a dead one is recognised, a living or foreign one left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.tokens import owner
from oauth_taskflow.tokens.owner import is_dead, this_process


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_a_process_that_ended_is_dead() -> None:
    program = "from oauth_taskflow.tokens.owner import this_process; print(this_process())"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert is_dead(ended.stdout.strip())


def test_a_process_id_that_was_given_again_is_another_process() -> None:
    host, world, pid, _ = this_process().split("|")
    assert is_dead("|".join((host, world, pid, "1")))


@pytest.mark.parametrize(
    "name", [None, "", "somebody", "host||1|1", "host|another machine/pid:[1]|999999|1", "a|b|c|d"]
)
def test_who_cannot_be_seen_is_not_called_dead(name: str | None) -> None:
    assert not is_dead(name)


def test_without_a_process_table_nobody_is_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = this_process().rpartition("|")[0] + "|1"
    owner._world.cache_clear()
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    assert not is_dead(ended)
    assert this_process().endswith("|?")
    owner._world.cache_clear()
