"""The parts of a deployment with CeleryExecutor: Redis, and workers that may be on separate machines.

Used by the tests in this folder and by ``benchmarks/cold_start.py``.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment, free_port
from oauth_taskflow.testing.parent_watch import ParentWatch

_START_SECONDS = 600.0
_NOT_THEIRS = (
    "AIRFLOW_HOME",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
)
# Host name and mounts are the kernel's, per "namespace"; without root it takes one of users, too.
_UNSHARE = [
    "unshare",
    "--uts",
    "--mount",
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
]
_ENTER = """\
import os, socket, subprocess, sys
host, disk, place, *command = sys.argv[1:]
socket.sethostname(host)
subprocess.run(["mount", "--bind", disk, place], check=True)
os.execv(command[0], command)
"""


def on_machine(host: str, disk: Path, place: Path, command: list[str]) -> list[str]:
    """``command`` with ``host`` for a host name, and with ``disk`` at ``place``, where other machines have theirs."""
    return [*_UNSHARE, sys.executable, "-c", _ENTER, host, str(disk), str(place), *command]


def can_be_machines(folder: Path) -> bool:
    """Whether this system gives processes a separate host name and separate mounts."""
    if shutil.which("unshare") is None:
        return False
    command = on_machine("one", folder, folder, ["/bin/true"])
    return subprocess.run(command, check=False).returncode == 0


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
    """Have ``airflow`` start its components one by one: ``standalone`` would use LocalExecutor whatever is configured.

    When one of them ends, all do, so that nothing waits for what cannot come.
    """
    run = f"{shlex.quote(sys.executable)} -m airflow"
    components = ("scheduler", "dag-processor", "api-server")
    parts = " & ".join(f"({run} {component}; kill 0)" for component in components)
    airflow.command = ["sh", "-c", f"{run} db migrate && {{ {parts} & wait; }}"]


def isolate_environment(airflow: AirflowDeployment, home: Path) -> dict[str, str]:
    """The environment of a worker on another machine: its own disk at ``home``, and no metadata database."""
    kept = {name: value for name, value in airflow.environment.items() if name not in _NOT_THEIRS}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/nothing.db",
    }


@contextlib.contextmanager
def worker(
    environment: Mapping[str, str],
    log: Path,
    host: str | None = None,
    disk: Path | None = None,
    *,
    queues: str = "default",
) -> Iterator[int]:
    """The process id of a Celery worker for ``queues``; with ``host``, on a machine of that name, which has ``disk`` for Airflow's home.

    Nothing waits for it, because tasks are queued until it is there. It serves no logs: Airflow would do so on all
    addresses of the machine.
    """
    command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs"]
    command += ["--queues", queues, "--celery-hostname", f"{host or 'worker'}@local"]
    if host is not None and disk is not None:
        command = on_machine(host, disk, Path(environment["AIRFLOW_HOME"]), command)
    with running(command, log, environment) as process_id:
        yield process_id


@contextlib.contextmanager
def edge_worker(environment: Mapping[str, str], log: Path, host: str, disk: Path) -> Iterator[int]:
    """The process id of an Edge worker on the machine ``host``, which has ``disk`` for Airflow's home."""
    command = [sys.executable, "-m", "airflow", "edge", "worker", "--concurrency", "2"]
    command += ["--edge-hostname", host]
    command = on_machine(host, disk, Path(environment["AIRFLOW_HOME"]), command)
    with running(command, log, environment) as process_id:
        yield process_id


def kill_machine(process_id: int) -> None:
    """Kill -9 for the worker of that process id and all that it started, as when its machine loses power.

    Tasks have their own process groups, so the signal goes to each process.
    """
    for process in freeze_machine(process_id):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def freeze_machine(process_id: int) -> list[psutil.Process]:
    """Stop the worker of that process id and all that it started where they are; those processes, itself last."""
    worker_process = psutil.Process(process_id)
    worker_process.suspend()  # so that it starts nothing meanwhile
    found: dict[int, psutil.Process] = {}
    while new := [p for p in worker_process.children(recursive=True) if p.pid not in found]:
        for process in new:
            found[process.pid] = process
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
    return [*found.values(), worker_process]


def thaw_machine(processes: Iterable[psutil.Process]) -> None:
    """Let the processes of ``freeze_machine`` go on."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def celery_is_ready(log: Path, _: Path) -> bool:
    """Whether the Celery worker that writes ``log`` takes tasks."""
    return b"@local ready" in log.read_bytes()


def wait_until_ready(
    log: Path, disk: Path, is_ready: Callable[[Path, Path], bool] = celery_is_ready
) -> None:
    """Wait until the worker with that log and disk takes tasks.

    Raises:
        TimeoutError: it does not, or it has ended; the log's end is in the message.
    """
    end = time.monotonic() + _START_SECONDS
    while not is_ready(log, disk):
        if time.monotonic() > end:
            raise TimeoutError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.2)


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """The process id of a program, which runs with all that it starts until the end of the block or of this process."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    tie = ParentWatch(process.pid)
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tie.release()
