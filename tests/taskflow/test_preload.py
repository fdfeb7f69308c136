"""Airflow's long-lived processes load what tasks need; task processes are left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.sql.engine import load_driver
from tests.support.measured import measure_child

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
for conn_id in ("client", "grant", "login"):
    with open_session(conn_id) as session:
        assert next(session.paginate("/page/airports", records="data"))
    late = sorted(name for name in set(sys.modules) - before if name.startswith("oauth_taskflow."))
    assert not late, f"tasks on {conn_id} would still load {late}"
"""


# A worker reads the provider metadata first; Airflow loads no plugin in it, and its pool forks later.
POOL = """
import os, sys, types
from oauth_taskflow.taskflow.provider_info import get_provider_info

NEEDED = ("requests", "oauth_taskflow.taskflow.sessions", "psycopg")

def loaded_in_child():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, " ".join(name for name in NEEDED if name in sys.modules).encode() or b"nothing")
        os._exit(0)
    os.wait()
    return os.read(reader, 1000).decode()

get_provider_info()
print(loaded_in_child())
sys.modules["celery.apps.worker"] = types.ModuleType("celery.apps.worker")
print(loaded_in_child())
"""


def _run(script: str, tmp_path: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=measure_child(
            {
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
                "PATH": "/usr/bin:/bin",
                **environment,
            }
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_modules_of_tasks_are_loaded_only_where_airflow_forks(tmp_path: Path) -> None:
    with OAuthTestServer() as server:
        budget = {"requests": 60, "per": "PT1S"}
        seed = server.issue_refresh_token()
        found = {"token_url": None, "issuer": server.base_url}
        login = {"login": "admin", "password": "static-password", "login_url": "/auth/token"}
        plain = {"token_url": None, "scope": None}
        _run(
            SCRIPT,
            tmp_path,
            AIRFLOW_CONN_CLIENT=server.connection_json(rate_limit=budget),
            AIRFLOW_CONN_GRANT=server.connection_json(refresh_token=seed, **found),
            AIRFLOW_CONN_LOGIN=server.connection_json(auth_type="session", **login, **plain),
        )


_POSTGRES = "postgresql+psycopg://nobody@127.0.0.1:9/none"


def test_only_a_worker_loads_the_modules_of_its_pool_before_it_forks(
    tmp_path: Path,
) -> None:
    before, after = _run(
        POOL, tmp_path, AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE=_POSTGRES
    ).splitlines()
    assert before == "nothing"
    assert after == "requests oauth_taskflow.taskflow.sessions psycopg"


def test_in_broker_mode_no_driver_is_loaded(tmp_path: Path) -> None:
    _, after = _run(
        POOL,
        tmp_path,
        AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE=_POSTGRES,
        AIRFLOW__SECRETS__BACKEND="oauth_taskflow.taskflow.secrets_backend.OAuthBroker",
    ).splitlines()
    assert after == "requests oauth_taskflow.taskflow.sessions"


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1/0", "postgresql+nodriver://x:s3cret@127.0.0.1/0"]
)
def test_a_store_that_cannot_be_used_is_named_and_stops_no_worker(tmp_path: Path, url: str) -> None:
    _, after = _run(POOL, tmp_path, AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE=url).splitlines()[-2:]
    assert after == "requests oauth_taskflow.taskflow.sessions"


def test_loading_a_driver_opens_nothing(tmp_path: Path) -> None:
    load_driver(f"sqlite:///{tmp_path}/tokens.db")
    load_driver(_POSTGRES)
    assert not list(tmp_path.iterdir())
