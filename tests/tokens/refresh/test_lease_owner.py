"""A lease names its holder; a dead one is recognised, a living or foreign one left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.lease_owner import holds, is_dead, new_attempt, this_process


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_two_attempts_of_a_process_have_two_names() -> None:
    assert new_attempt(9.0) != new_attempt(9.0)
    assert not is_dead(new_attempt(9.0))


@pytest.mark.parametrize("name", ["this_process()", "new_attempt(9.0)"])
def test_a_process_that_ended_is_dead_and_holds_nothing(name: str) -> None:
    program = f"from oauth_taskflow.tokens.refresh.lease_owner import *; print({name})"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert is_dead(ended.stdout.strip())
    assert not holds(ended.stdout.strip(), 0.0)


def test_a_living_process_holds_its_lease_until_its_time_is_up() -> None:
    name = new_attempt(100.5)
    assert [holds(name, now) for now in (0.0, 100.0, 101.0)] == [True, True, False]


def test_a_living_process_that_the_process_table_hides_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc is to other users with the mount option ``hidepid``."""
    hidden = f"{this_process().rpartition('|')[0]}|4711"
    for name in ("sys/kernel/random", "self/ns"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text(
        Path("/proc/sys/kernel/random/boot_id").read_text()
    )
    (tmp_path / "self/ns/pid").symlink_to(Path("/proc/self/ns/pid").readlink())
    assert is_dead(hidden)  # seen, and another process by now
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path)
    assert not is_dead(hidden)


@pytest.mark.parametrize(
    ("failure", "is_gone"), [(ProcessLookupError, True), (PermissionError, False)]
)
def test_a_hidden_process_of_another_user_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[OSError], is_gone: bool
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise failure

    owner = f"{this_process().rpartition('|')[0]}|4711"
    lease_owner._process_namespace()  # kept from now on
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path)
    monkeypatch.setattr("os.kill", refuse)
    assert is_dead(owner) == is_gone


def test_a_reused_process_id_is_another_process() -> None:
    host, world, pid, _ = this_process().split("|")
    assert is_dead("|".join((host, world, pid, "1")))


@pytest.mark.parametrize(
    "name", [None, "", "somebody", "host||1|1", "host|another machine/pid:[1]|999999|1", "a|b|c|d"]
)
def test_an_invisible_process_is_neither_dead_nor_a_holder(name: str | None) -> None:
    assert not is_dead(name)
    assert not holds(f"{name}|ab12|9.0", 0.0)


def test_without_a_process_table_no_process_is_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = this_process().rpartition("|")[0] + "|1"
    lease_owner._process_namespace.cache_clear()
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path)
    assert not is_dead(ended)
    assert this_process().endswith("|?")
    lease_owner._process_namespace.cache_clear()
