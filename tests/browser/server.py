"""A real ``airflow api-server`` on loopback, alone: no scheduler, no DAG processor and so no log servers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oauth_taskflow.testing.airflow_deployment import free_port
from oauth_taskflow.testing.parent_watch import ParentWatch

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
# Passwords of the users of ``users.AuthManager``.
USERS = {"admin": "admin", "second": "admin", "viewer": "viewer", "reader": "viewer"}
# Below the 600 seconds of a test (pyproject.toml): a busy machine needs minutes.
_START_SECONDS = 540.0


class Deployment:
    """The parts that several API servers share: ``AIRFLOW_HOME``, a SQLite metadata database, keys and users."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.passwords = {name: secrets.token_urlsafe(9) for name in USERS}
        (home / "dags").mkdir(parents=True, exist_ok=True)
        passwords = home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps(self.passwords))
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.browser.users.AuthManager",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{name}:{role}" for name, role in USERS.items()
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
            "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": f"sqlite:///{home}/tokens.db",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def run(self, script: str, *arguments: str) -> str:
        """The output of the Python text ``script``, run inside this deployment."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def migrate(self) -> None:
        """Creates the tables of the metadata database."""
        self.run("from airflow.utils.db import initdb; initdb()")

    def command(self, *arguments: str) -> str:
        """The output of ``airflow`` with ``arguments``."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


class ApiServer:
    """One ``airflow api-server`` of ``deployment``, below ``path`` of its host; ``slash`` ends its ``[api] base_url``, other ``settings`` are variables."""

    def __init__(
        self, deployment: Deployment, path: str = "", slash: str = "", **settings: str
    ) -> None:
        self.deployment, self.path = deployment, path
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}{path}"
        self.log = deployment.home / f"api-server-{self.port}.log"
        self._settings = {
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": f"{self.url}{slash}",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._tie: ParentWatch | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "api-server", "--port", str(self.port)],
                env={**self.deployment.environment, **self._settings},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tie = ParentWatch(self._process.pid)
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        for request, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, request)
                process.wait(patience)
        if self._tie is not None:
            self._tie.release()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=5):
                    return
            except OSError:
                time.sleep(0.3)
        msg = f"the API server did not answer; see {self.log}"
        raise AssertionError(msg)

    def log_in(self, name: str) -> str:
        """A token of the user ``name`` of Airflow, for its cookie or its Authorization header."""
        login = {"username": name, "password": self.deployment.passwords[name]}
        return str(self.call("POST", "/auth/token", login)["access_token"])

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """The JSON answer of this server to a program.

        Raises:
            urllib.error.HTTPError: it answered with an error.
        """
        headers = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def add_connection(self, conn_id: str, connection: dict[str, Any]) -> None:
        """Stores a connection in the metadata database, replacing one of that id."""
        extra = connection.get("extra") or {}
        entity = {
            **connection,
            "connection_id": conn_id,
            "extra": extra if isinstance(extra, str) else json.dumps(extra),
        }
        action = {"action": "create", "entities": [entity], "action_on_existence": "overwrite"}
        self.call("PATCH", "/api/v2/connections", {"actions": [action]}, self.log_in("admin"))
