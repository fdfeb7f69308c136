"""CeleryExecutor for tests and benchmarks: a Redis server of their own, and workers beside an Airflow deployment."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from oauth_taskflow.testing.deployment import AirflowDeployment, free_port


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[dict[str, str]]:
    """A Redis server on loopback (Debian: ``redis-server``), and the configuration of CeleryExecutor with it."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    with running(["redis-server", *options], folder / "redis.log", os.environ):
        url = f"redis://127.0.0.1:{port}"
        yield {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"{url}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"{url}/1",
        }


def use_celery(airflow: AirflowDeployment) -> None:
    """Have ``airflow`` start its components one by one: ``standalone`` would use LocalExecutor whatever is configured."""
    run = f"{shlex.quote(sys.executable)} -m airflow"
    parts = " & ".join(f"{run} {part}" for part in ("scheduler", "dag-processor", "api-server"))
    airflow.command = ["sh", "-c", f"{run} db migrate && {{ {parts} & wait; }}"]


@contextlib.contextmanager
def worker(environment: Mapping[str, str], log: Path, name: str = "worker") -> Iterator[None]:
    """A Celery worker; nothing waits for it, because tasks are queued until it is there."""
    command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs"]
    with running([*command, "--celery-hostname", f"{name}@local"], log, environment):
        yield


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A program and all that it starts, until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
