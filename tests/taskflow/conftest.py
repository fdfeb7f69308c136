"""A real Airflow of our own: configured before anything imports it, migrated once, thrown away at the end."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import sys
import tempfile
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from oauth_taskflow.testing import OAuthTestServer
    from tests.taskflow.dags.dag_runs import FinishedRun

if "airflow" in sys.modules:
    msg = "Airflow was imported before tests/taskflow/conftest.py could say where it lives"
    raise RuntimeError(msg)

_HOME = Path(tempfile.mkdtemp(prefix="oauth-taskflow-airflow-"))
(_HOME / "dags").mkdir()
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }
)


@pytest.fixture(scope="session", autouse=True)
def _home_is_thrown_away() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _forget_backends_of_others() -> Iterator[None]:
    """Airflow keeps secrets backends for the whole process, once one is configured."""
    yield
    configuration = sys.modules.get("airflow.sdk.configuration")
    getattr(configuration, "_secrets_backend_cache", {}).clear()  # not in Airflow 3.2


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """``$AIRFLOW_HOME`` with a migrated SQLite metadata database."""
    with warnings.catch_warnings():
        # What Airflow's own dependencies warn of among themselves is not ours to fix.
        warnings.simplefilter("ignore")
        import airflow.api_fastapi.execution_api.app  # noqa: F401, PLC0415 - needs its home first
        from airflow.utils.db import initdb  # noqa: PLC0415 - as above

        initdb()
    return _HOME


RunDag = Callable[..., "FinishedRun"]


@pytest.fixture
def run_dag(airflow_home: Path) -> RunDag:
    """``run_dag(dag)`` runs a DAG object once in this process; see ``dag_runs.run_once``."""
    from tests.taskflow.dags.dag_runs import run_once  # noqa: PLC0415 - Airflow needs its home first

    return run_once


SetConnection = Callable[..., str]


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> SetConnection:
    """``set_connection("crm", {...})`` makes an Airflow connection for this test and returns its id."""

    def set_connection(conn_id: str, connection: dict[str, Any] | str) -> str:
        text = connection if isinstance(connection, str) else json.dumps(connection)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)
        return conn_id

    return set_connection


Connect = Callable[..., str]


@pytest.fixture(autouse=True)
def no_grants_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token store that knows nothing: a server may get the port of one before, and so its grants."""
    file = _HOME / f"tokens-{secrets.token_hex(4)}.db"
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{file}")


@pytest.fixture(autouse=True)
def patient_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker answers within 4 seconds, in which a busy machine may not get a token. Tests of that limit set their own."""
    for name in ("desk", "server"):
        module = sys.modules.get(f"oauth_taskflow.taskflow.broker.{name}")
        if module is not None:
            monkeypatch.setattr(module, "_ANSWER_WITHIN", 120.0)


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token store in the folder of this test, and no desktop."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/tokens.db")
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect(oauth_server: OAuthTestServer, set_connection: SetConnection) -> Connect:
    """``connect(par_url=...)`` makes the connection ``crm`` for a person to authorize."""

    def connect(**overrides: Any) -> str:
        place = oauth_server.base_url
        known = {
            "grant_type": "authorization_code",
            "authorize_url": f"{place}/oauth/authorize",
            "device_url": f"{place}/oauth/device",
        }
        return set_connection("crm", oauth_server.connection(**{**known, **overrides}))

    return connect


@pytest.fixture
def browser(own_store: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser that follows redirects; the addresses that it was sent to. (Python asks for one once per process.)"""
    monkeypatch.setenv("BROWSER", "any")
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        requests.get(url, timeout=60)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    return opened
