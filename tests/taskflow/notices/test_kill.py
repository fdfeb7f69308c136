"""Workers that are killed at every write: people hear of the event, at worst twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.taskflow.notices.killed_sender import STEPS, send_due
from tests.tokens.conftest import real_store_url

__all__ = ["real_store_url"]
pytestmark = [pytest.mark.slow, pytest.mark.airflow]
# It was sent, and the worker died before that was remembered.
TWICE = {"after sending", "in settling"}


# Servers commit in another way only where the worker is between two commits.
_CASES = [
    *(("sqlite", step) for step in STEPS),
    ("postgresql", "after sending"),
    ("mariadb", "after sending"),
]


@pytest.mark.parametrize(("real_store_url", "step"), _CASES, indirect=["real_store_url"])
@pytest.mark.usefixtures("airflow_home")
def test_after_a_kill_the_next_worker_tells_what_was_not_remembered(
    step: str, real_store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    mails, conn_id = tmp_path / "mails", request.node.name
    command = [sys.executable, "-m", "tests.taskflow.notices.killed_sender"]
    killed = subprocess.run([*command, real_store_url, conn_id, str(mails), step], check=False)
    assert killed.returncode == -signal.SIGKILL
    until = time.monotonic() + 60
    while time.monotonic() < until:
        send_due(real_store_url, conn_id, mails)
        if mails.exists() and (step not in TWICE or len(mails.read_text().split()) == 2):
            break
        time.sleep(0.2)
    assert send_due(real_store_url, conn_id, mails) == []
    times = 2 if step in TWICE else 1
    assert mails.read_text().split() == ["needs_consent"] * times
