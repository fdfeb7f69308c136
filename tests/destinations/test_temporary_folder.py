"""Temporary folders of processes that end, live, and were killed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.temporary_folder import open_temporary_folder

_OWNER = """
import pathlib, sys
from oauth_taskflow.destinations.temporary_folder import open_temporary_folder
with open_temporary_folder("test") as folder:
    pathlib.Path(folder, "records").write_text("private")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with its own folder."""
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_folder_lasts_as_long_as_its_block(top: Path) -> None:
    with open_temporary_folder("test") as folder:
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        (Path(folder) / "below").mkdir()
    assert list(top.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(top: Path) -> None:
    with owner() as (killed, left), owner() as (_, alive):
        killed.kill()
        killed.wait()
        assert (left / "records").exists()
        with open_temporary_folder("test") as folder:
            assert {path.name for path in top.iterdir()} == {alive.name, Path(folder).name}
            assert (alive / "records").exists()


def test_other_kinds_files_and_links_stay(top: Path) -> None:
    elsewhere = top / "elsewhere"
    elsewhere.mkdir()
    (top / "oauth-taskflow.test.link").symlink_to(elsewhere)
    (top / "oauth-taskflow.test.file").write_text("")
    (top / "oauth-taskflow.other.1").mkdir()
    (top / "oauth-taskflow-test-1").mkdir()  # of a release without locks
    before = set(top.iterdir())
    with open_temporary_folder("test"):
        pass
    assert set(top.iterdir()) == before


def test_folders_of_another_user_stay(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = top / "oauth-taskflow.test.1"
    left.mkdir()
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with open_temporary_folder("test"):
        assert left.exists()


@pytest.mark.parametrize("moment", ["open", "flock"])
def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = tempfile.mkdtemp, list[str]()

    def make(**given: str) -> str:
        made.append(real(**given))
        return made[-1]

    where = os if moment == "open" else fcntl
    step = getattr(where, moment)

    def remove_first(*given: Any) -> Any:
        with suppress(OSError):
            Path(made[0]).rmdir()
        return step(*given)

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    monkeypatch.setattr(where, moment, remove_first)
    with open_temporary_folder("test") as folder:
        assert (folder, Path(folder).is_dir()) == (made[1], True)
