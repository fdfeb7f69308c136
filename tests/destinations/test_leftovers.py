"""The remains of failed and killed attempts in a folder on a disk: nothing beyond the next attempt's beginning."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Raw

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.folder_destination import FolderDestination
from oauth_taskflow.destinations.folder_writer import FolderWriter

RUN = Run(endpoint="notes", run_id="r")


def begin(folder: Path) -> FolderWriter:
    """An attempt that goes on where the one before kept its records, and has written and rejected one record more."""
    destination = FolderDestination(folder)
    progress = destination.find_progress(RUN)
    writer = destination.open(RUN)
    if progress is not None:
        writer.abort()
        resumed = destination.resume(RUN, progress, progress.rows)
        assert resumed is not None
        writer = resumed
    writer.write([Raw(b'{"id":1}')])
    writer.reject([Raw(b'{"id":2}')])
    return writer


def kill_one(folder: Path, *steps: str) -> None:
    """An attempt in its own process, which is killed after ``steps``."""
    code = f"""
import os, signal
from pathlib import Path
from tests.destinations.test_leftovers import begin
writer = begin(Path({str(folder)!r}))
{"; ".join(steps) or "pass"}
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL


def kinds(folder: Path) -> list[str]:
    """The files in ``folder``, without the ids of attempts."""
    return sorted(
        ".".join(one for one in path.name.split(".") if len(one) != 12) for path in folder.iterdir()
    )


LIVING = ["._manifest.json.tmp", "._rejected-00000.jsonl.tmp", ".part-00000.jsonl.tmp"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [(), ("writer.keep(b'x')",), ("writer.write([])", "writer.keep(b'x')")]
)
def test_an_attempt_removes_what_killed_ones_left(tmp_path: Path, steps: tuple[str, ...]) -> None:
    for _ in range(2):
        kill_one(tmp_path, *steps)
        progress = ["_progress.msgpack"] if steps else []
        assert kinds(tmp_path) == LIVING + progress
    writer = begin(tmp_path)
    kept = progress and [LIVING[1], LIVING[2]]
    assert kinds(tmp_path) == sorted([*LIVING, *kept, *progress])
    writer.keep(b"y")
    assert kinds(tmp_path) == [*LIVING, "_progress.msgpack"]
    writer.abort()
    assert kinds(tmp_path) == []


def test_an_attempt_leaves_those_alone_that_live(tmp_path: Path) -> None:
    first = FolderDestination(tmp_path).open(RUN)
    first.write([Raw(b'{"id":1}')])
    second = begin(tmp_path)
    assert len(kinds(tmp_path)) == 2 * len(LIVING) - 1
    second.abort()
    first.abort()
    assert kinds(tmp_path) == []


@pytest.mark.parametrize("end", ["abort", "suspend"])
def test_an_attempt_that_fails_leaves_what_it_kept_alone(tmp_path: Path, end: str) -> None:
    for _ in range(3):
        writer = begin(tmp_path)
        if end == "suspend":
            writer.keep(b"x")
        getattr(writer, end)()
    left = [*LIVING[1:], "_progress.msgpack"] if end == "suspend" else []
    assert kinds(tmp_path) == left
