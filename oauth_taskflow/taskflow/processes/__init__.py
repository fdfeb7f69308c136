"""Detects in which of Airflow's processes this code runs; and which executors there are and what workers load."""

from __future__ import annotations

import os
import sys


def in_task() -> bool:
    """Whether Airflow's task runner runs this code: it looks connections up itself, and keeps tasks off the database."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return hasattr(runner, "SUPERVISOR_COMMS")


def in_triggerer() -> bool:
    """Whether the triggerer runs this code; ``in_task`` is true there too, because it uses the task runner."""
    return "airflow.jobs.triggerer_job_runner" in sys.modules


def on_api_server() -> bool:
    """Whether this is the API server or another process that holds the metadata database; tasks inherit the variable."""
    return os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "server" and not in_task()
