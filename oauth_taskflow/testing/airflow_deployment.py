"""A whole Airflow deployment on loopback: ``airflow standalone`` in a temporary folder, controlled through its REST API.

For end-to-end tests and the demo: scheduler, DAG processor, triggerer, API server and LocalExecutor are the real ones.

    with AirflowDeployment(home, dags) as airflow:
        run_id = airflow.trigger("my_dag")
        assert airflow.wait("my_dag", run_id) == "success"

DAGs begin paused; ``trigger`` unpauses the one it starts. The UI's user is ``admin`` with ``password``. All of it ends with
this process, even when that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oauth_taskflow.testing.parent_watch import ParentWatch

if TYPE_CHECKING:
    from typing_extensions import Self

_FINAL_STATES = frozenset({"success", "failed"})
# How each is asked to stop, and for how many seconds. LocalExecutor's idle workers never heed Ctrl-C.
_STOPPING = ((signal.SIGINT, 2.0), (signal.SIGTERM, 4.0), (signal.SIGKILL, 0.0))
# A machine that is busy with tasks may leave the API server without an answer for minutes.
_BUSY_SECONDS = 120.0
_USER = "admin"
_DATABASE = "AIRFLOW__DATABASE__"
_PASSWORDS_FILE = "passwords.json"
# Airflow has no option for the address of its log servers: they would listen on all.
_LOCAL_SETTINGS = '''"""Airflow's log servers listen on this machine only."""

import uvicorn

__all__ = []
_run = uvicorn.run


def _run_on_loopback(app, **options):
    options["host"] = options.get("host") or "127.0.0.1"
    _run(app, **options)


uvicorn.run = _run_on_loopback
'''


class DeploymentFailed(RuntimeError):
    """Airflow did not start, or a run did not end in time; the log file is named."""


def free_port() -> int:
    """A TCP port that is free on loopback right now, outside the range from which systems take ports by themselves."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class AirflowDeployment:
    """``airflow standalone`` with SQLite (or ``database``), listening on loopback only.

    Args:
        home: becomes ``AIRFLOW_HOME``; what is in it is kept.
        dags: the folder of DAG files. Airflow parses one that changed after half a minute, and finds a new one after a
            minute; ``environment`` can set other intervals.
        environment: more variables, such as ``AIRFLOW_CONN_CRM``.
        database: SQLAlchemy URL of the metadata database; None is SQLite in ``home``.
        parallelism: tasks at once; idle workers cost memory.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        environment: Mapping[str, str] | None = None,
        database: str | None = None,
        parallelism: int = 4,
        port: int | None = None,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.log = home / "standalone.log"
        self.command = [sys.executable, "-m", "airflow", "standalone"]
        self._process: subprocess.Popen[bytes] | None = None
        self._tie: ParentWatch | None = None
        self._token: str | None = None
        self.password = secrets.token_urlsafe(12)
        self.environment = {
            # A shell of another Airflow may have its database twice: also for asynchronous sessions.
            **{name: v for name, v in os.environ.items() if not name.startswith(_DATABASE)},
            # standalone starts its components by the name "airflow".
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **_settings(home, dags, self.port, parallelism),
            **_metadata(home, database),
            **(environment or {}),
        }

    @property
    def url(self) -> str:
        """Where the UI and the REST API are."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 600.0) -> None:
        """Start every component and wait until the API answers and the scheduler is healthy.

        Raises:
            DeploymentFailed: it did not within ``timeout`` seconds, or it ended.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        settings = self.home / "config" / "airflow_local_settings.py"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(_LOCAL_SETTINGS)
        passwords = self.home / _PASSWORDS_FILE
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({_USER: self.password}))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tie = ParentWatch(self._process.pid)
        try:
            self._wait_until_healthy(self._process, timeout)
        except DeploymentFailed:
            self.stop()
            raise

    def _wait_until_healthy(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._healthy():
            if (status := process.poll()) is not None:
                msg = (
                    f"Airflow ended with exit status {status} before it was healthy; see {self.log}"
                )
                raise DeploymentFailed(msg)
            if time.monotonic() > deadline:
                msg = f"Airflow did not become healthy in {timeout:.0f} s; see {self.log}"
                raise DeploymentFailed(msg)
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop every process that was started: first as Ctrl-C does, then by SIGTERM, then for good."""
        process, self._process = self._process, None
        if process is None:
            return
        for request, patience in _STOPPING:
            # SIGTERM to the parent alone would orphan its children; the whole session gets the signal.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, request)
            deadline = time.monotonic() + patience
            while _group_alive(process.pid) and time.monotonic() < deadline:
                process.poll()
                time.sleep(0.1)
        process.wait()
        if self._tie is not None:
            self._tie.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def call(
        self, method: str, path: str, body: Any = None, *, patience: float = _BUSY_SECONDS
    ) -> Any:
        """The JSON answer of the REST API below ``/api/v2``; all but POST asks a busy server again for ``patience`` seconds.

        Raises:
            urllib.error.HTTPError: the API answered with an error.
            DeploymentFailed: it did not answer, or Airflow has ended.
        """
        if self._token is None:
            login = {"username": _USER, "password": self.password}
            answer = self._answer("POST", "/auth/token", login, patience)
            self._token = answer["access_token"]
        return self._answer(method, f"/api/v2{path}", body, 0.0 if method == "POST" else patience)

    def _answer(self, method: str, path: str, body: Any, patience: float) -> Any:
        """The answer to a request that is sent again for ``patience`` seconds while there is none."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._request(method, path, body)
            except OSError as error:  # noqa: PERF203 - a request costs more
                if isinstance(error, urllib.error.HTTPError):
                    raise
                status = self._process.poll() if self._process else None
                if status is None and time.monotonic() < deadline:
                    time.sleep(0.5)
                    continue
                ended = "" if status is None else f" ended with exit status {status}, and"
                msg = f"Airflow{ended} did not answer {method} {self.url}{path} ({error}); see {self.log}"
                raise DeploymentFailed(msg) from error

    def add_connection(self, conn_id: str, connection: Mapping[str, Any]) -> None:
        """Store a connection, in the shape that ``AIRFLOW_CONN_…`` takes as JSON, replacing one of that id."""
        fields = dict(connection)
        if not isinstance(extra := fields.get("extra"), str):
            fields["extra"] = json.dumps(extra or {})
        entity = {"connection_id": conn_id, **fields}
        action = {"action": "create", "entities": [entity], "action_on_existence": "overwrite"}
        self.call("PATCH", "/connections", {"actions": [action]})

    def wait_for_dag(self, dag_id: str, timeout: float = 300.0) -> None:
        """Wait until the DAG processor has stored ``dag_id``.

        Raises:
            DeploymentFailed: it has not within ``timeout`` seconds; import errors are in the message.
        """
        self._wait_until_found("GET", f"/dags/{dag_id}/details", None, timeout)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Unpause ``dag_id`` as soon as it is there and start a run; its run id."""
        self._wait_until_found(
            "PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False}, 300.0
        )
        body = {"logical_date": None, "conf": dict(conf or {})}
        # The row of a DAG is stored before the version that can be run.
        return str(
            self._wait_until_found("POST", f"/dags/{dag_id}/dagRuns", body, 300.0)["dag_run_id"]
        )

    def wait(self, dag_id: str, run_id: str, timeout: float = 900.0) -> str:
        """The run's final state, ``success`` or ``failed``.

        Raises:
            DeploymentFailed: it is still running after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            path = f"/dags/{dag_id}/dagRuns/{run_id}"
            left = max(_BUSY_SECONDS, deadline - time.monotonic())
            state = str(self.call("GET", path, patience=left)["state"])
            if state in _FINAL_STATES:
                return state
            if time.monotonic() > deadline:
                msg = f"Run {run_id} of {dag_id} is {state} after {timeout:.0f} s; see {self.log}"
                raise DeploymentFailed(msg)
            time.sleep(1.0)  # the API server works for the tasks too

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, as the REST API shows them: at most ``[api] maximum_page_limit`` (100) at once."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000"
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", f"{path}&offset={len(found)}")
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """The return value of a task instance."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]

    def _wait_until_found(self, method: str, path: str, body: Any, timeout: float) -> Any:
        """The response of ``call``, repeated until its status is not 404."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.call(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
            if time.monotonic() > deadline:
                msg = f"{path} is not there: {self.call('GET', '/importErrors')}"
                raise DeploymentFailed(msg)
            time.sleep(0.5)

    def _healthy(self) -> bool:
        try:
            answer = self._request("GET", "/api/v2/monitor/health", None)
        except (OSError, ValueError):
            return False
        return all(
            answer.get(part, {}).get("status") == "healthy"
            for part in ("metadatabase", "scheduler", "dag_processor")
        )

    def _request(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always our own http:// address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - see above
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            error.msg = f"{error.msg}: {error.read().decode(errors='replace')[:500]}"
            raise


def _settings(home: Path, dags: Path, port: int, parallelism: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / _PASSWORDS_FILE),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_USER}:admin",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # After 5 s, Airflow would ask again to start a task that has started, and kill it when the answer is a conflict.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": f"{_BUSY_SECONDS:.0f}",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
    }


def _metadata(home: Path, database: str | None) -> dict[str, str]:
    """The settings of the metadata database; writers of SQLite wait for each other longer than the 5 s of Python."""
    if database is None:
        database = f"sqlite:///{home.absolute()}/airflow.db?timeout={_BUSY_SECONDS:.0f}"
    names = ["SQL_ALCHEMY_CONN"]
    # psycopg has both kinds of sessions; left to itself, Airflow takes asyncpg for the asynchronous ones.
    if database.startswith("postgresql+psycopg:"):
        names.append("SQL_ALCHEMY_CONN_ASYNC")
    return {f"{_DATABASE}{name}": database for name in names}


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
