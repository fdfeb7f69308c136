"""In which of Airflow's processes this code runs."""

from __future__ import annotations

import os
import sys


def in_task() -> bool:
    """Whether Airflow's task runner runs us: it has asked everywhere already, and keeps tasks off the database."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return hasattr(runner, "SUPERVISOR_COMMS")


def on_server() -> bool:
    """Whether this is the API server or another process that holds the metadata database; tasks inherit the variable."""
    return os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "server" and not in_task()
