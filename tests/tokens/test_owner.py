"""A lease names its holder; a dead one is recognised, a living or foreign one left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
    "owner", [None, "", "somebody", "host||1|1", "host|another machine/pid:[1]|999999|1", "a|b|c|d"]
)
def test_who_cannot_be_seen_is_not_called_dead(owner: str | None) -> None:
    assert not is_dead(owner)
