"""Airflow's long-lived processes load what tasks need; task processes are left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

CONNECTION = {
    "conn_type": "oauth2",
    "host": "https://api.example.com",
    "login": "client",
    "password": "secret",
    "extra": {"token_url": "https://id.example.com/token"},
}
SCRIPT = """
import sys
from airflow.jobs.job import Job
from airflow.listeners.listener import get_listener_manager
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker

def loaded():
    return {name for name in ("requests", "oauth_taskflow.taskflow.sessions") if name in sys.modules}

get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
assert not loaded(), f"a task process of somebody else's task loaded {loaded()}"
Job()
assert len(loaded()) == 2, f"a scheduler would have loaded only {loaded()}"

before = set(sys.modules)
from oauth_taskflow.taskflow.sessions import open_session
with open_session("crm"):
    late = sorted(name for name in set(sys.modules) - before if name.startswith("oauth_taskflow."))
assert not late, f"tasks would still load {late}"
"""


def test_what_tasks_import_is_loaded_where_airflow_forks_and_nowhere_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW_CONN_CRM": json.dumps(CONNECTION),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
