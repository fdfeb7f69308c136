"""``airflow oauth pull`` waits as long as the API asks, and says so: a shell has no worker slot to free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api import pauses
from oauth_taskflow.clock import SystemClock
from oauth_taskflow.taskflow.cli.pull import pull
from tests.api.scripted import Asked, Reply, ScriptedApi, scripted

SPEC = """\
version: 1
dag_id: patient
start_date: 2026-01-01
connection: api
endpoints:
  rows:
    request: {path: /rows}
    records: items
    paginate: {type: cursor, next: next, param: at}
    destination: {type: file, path: /unused}
"""


class Busy:
    """Four pages; before the third one the API asks once to wait for ``seconds``."""

    def __init__(self) -> None:
        self.seconds = 0
        self.asked: list[int] = []

    def __call__(self, asked: Asked) -> Any:
        at = int(asked.query.get("at", 0))
        self.asked.append(at)
        if at == 2 and self.asked.count(at) == 1:
            return Reply({}, 429, headers={"Retry-After": str(self.seconds)})
        return {"items": [{"id": at}], **({"next": str(at + 1)} if at < 3 else {})}


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def api(busy: Busy) -> Iterator[ScriptedApi]:
    with scripted(busy) as api:
        yield api


def connect(api: ScriptedApi) -> dict[str, Any]:
    return {"conn_type": "oauth2", "host": api.url, "extra": {"auth_type": "none"}}


def write_spec(folder: Path) -> Path:
    path = folder / "patient.yaml"
    path.write_text(SPEC)
    return path


def read_ids(folder: Path) -> list[int]:
    (part,) = folder.rglob("part-*.jsonl")
    return [json.loads(line)["id"] for line in part.read_text().splitlines()]


def test_a_pull_waits_for_an_hour_with_a_line_that_says_so(
    tmp_path: Path,
    busy: Busy,
    api: ScriptedApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    lines: list[str] = []
    monkeypatch.setattr(pauses._log, "info", lambda text, *given: lines.append(text % given))
    sleep = SystemClock.sleep

    def note(clock: SystemClock, seconds: float) -> None:
        """Threads of earlier tests may still take their short pauses."""
        if seconds < 100:
            sleep(clock, seconds)
        else:
            slept.append(seconds)

    monkeypatch.setattr(SystemClock, "sleep", note)
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__LONGEST_WAIT", "1")
    busy.seconds = 3600
    monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps(connect(api)))
    nothing = dict.fromkeys(("endpoint", "set", "since", "until"))
    given = {"spec": str(write_spec(tmp_path)), "folder": str(tmp_path / "out"), "output": "json"}
    pull(Namespace(**nothing, **given))
    assert slept == [3600.0]
    (line,) = lines
    assert line == f"HTTP 429 from GET {api.url}/rows?at=2; next try in 3600.0 s"
    assert (read_ids(tmp_path / "out"), busy.asked) == ([0, 1, 2, 3], [0, 1, 2, 2, 3])


@pytest.mark.slow
def test_the_command_line_waits_and_its_result_stays_clean(
    tmp_path: Path, busy: Busy, api: ScriptedApi
) -> None:
    busy.seconds = 3
    command = [sys.executable, "-m", "airflow", "oauth", "pull", str(write_spec(tmp_path))]
    environment = {
        **os.environ,
        "AIRFLOW_CONN_API": json.dumps(connect(api)),
        "AIRFLOW__OAUTH_TASKFLOW__LONGEST_WAIT": "1",
    }
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "out"), "--output", "json"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - began >= 3.0
    assert "next try in 3.0 s" in done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["rows"], row["pages"]) == (4, 4)
    assert read_ids(tmp_path / "out") == [0, 1, 2, 3]
