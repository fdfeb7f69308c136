"""Programs end with the process that started them, also when that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oauth_taskflow.testing.parent_watch import ParentWatch

_PARENT = """\
import subprocess, sys, time
from oauth_taskflow.testing.parent_watch import ParentWatch
child = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True)
tie = ParentWatch(child.pid, sys.argv[1])
print(child.pid, flush=True)
time.sleep(300)
"""


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def runs(group: int) -> bool:
    """Whether a process of the group is alive; one that only waits to be collected is not."""
    states = subprocess.run(
        ["ps", "-e", "-o", "pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return any(line.split()[0] == str(group) and "Z" not in line for line in states)


@pytest.mark.slow
@pytest.mark.parametrize("request_", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "terminate"])
def test_a_killed_process_leaves_neither_programs_nor_folders(
    tmp_path: Path, request_: signal.Signals
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").touch()
    command = [sys.executable, "-c", _PARENT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        try:
            assert runs(group)
            parent.send_signal(request_)
            parent.wait()
            assert until(lambda: not runs(group))
            assert until(lambda: not folder.exists())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def test_a_released_process_survives_its_parent(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as child:
        ParentWatch(child.pid, str(tmp_path)).release()
        assert runs(child.pid)
        assert tmp_path.exists()
        child.kill()
