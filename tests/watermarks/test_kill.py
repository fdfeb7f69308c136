"""Processes that are killed at each step: the next run loses nothing, and repeats nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.scripted import Asked, ScriptedApi, scripted
from tests.watermarks.killed_run import STEPS
from tests.watermarks.one_run import IDENTITY, open_store, read_output, run_once

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


class Numbers:
    """An API whose records are numbers that grow, one a page."""

    def __init__(self) -> None:
        self.count = 3
        self.asked: list[int] = []

    def __call__(self, asked: Asked) -> Any:
        above = int(asked.query["above"])
        self.asked.append(above)
        more = {"next": str(above + 1)} if above + 1 < self.count else {}
        return {"items": [{"id": above + 1}] if above < self.count else [], **more}


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
def api(numbers: Numbers) -> Iterator[ScriptedApi]:
    with scripted(numbers) as api:
        yield api


def run_and_die(folder: Path, url: str, run_id: str, step: str) -> None:
    command = [sys.executable, "-m", "tests.watermarks.killed_run", str(folder), url, run_id, step]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("following", ["the same run", "the next run"])
def test_a_kill_at_any_step_loses_and_repeats_nothing(
    step: str, following: str, api: ScriptedApi, numbers: Numbers, tmp_path: Path
) -> None:
    run_once(tmp_path, api.url, "first")
    numbers.count = 5
    run_and_die(tmp_path, api.url, "second", step)
    numbers.asked.clear()
    run_once(tmp_path, api.url, "second" if following == "the same run" else "third")
    if following == "the same run" and step in {
        "after a page",
        "before the note",
        "after the note",
    }:
        assert 3 not in numbers.asked, "what was kept before the kill was read again"
    numbers.count = 7
    run_once(tmp_path, api.url, "last")
    assert read_output(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    store = open_store(tmp_path)
    (row,) = store.list_watermarks()
    assert row.state.value == 7
    assert store.list_pending(IDENTITY) == [] or step == "after the note"
    store.close()
