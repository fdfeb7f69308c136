"""A denial of the broker, as a command line prints it and as a task receives it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.broker.denial import make_denial
from oauth_taskflow.taskflow.broker.protocol import question_id, read_failure
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from tests.taskflow.conftest import SetConnection
from tests.taskflow.test_secrets_backend import as_airflow_makes_it

BOUND = (
    "A token that is bound to a key cannot be handed out by the broker in connection 'crm', field 'dpop'. Remove dpop, or "
    "give this connection to workers directly, in [workers] secrets_backend or AIRFLOW_CONN_CRM."
)
STORED = "Airflow's UI (Admin, Connections) shows what is stored, and this command writes it to a file: airflow connections export FILE"
CONNECTION = {
    "conn_type": "oauth2",
    "host": "https://api.example.com",
    "login": "client",
    "password": "s3cret-of-client",
    "extra": {"token_url": "https://id.example.com/token", "dpop": True},
}


@pytest.fixture
def crm(set_connection: SetConnection) -> str:
    """A connection that the broker denies without a request."""
    return set_connection("crm", CONNECTION)


def test_connections_get_prints_problem_and_remedy_without_a_traceback(
    crm: str, airflow_home: Path
) -> None:
    backend = f"{OAuthBroker.__module__}.{OAuthBroker.__qualname__}"
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "get", crm],
        env={**os.environ, "AIRFLOW__SECRETS__BACKEND": backend},
        cwd=airflow_home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"The broker denies this connection. {BOUND}\n{STORED}\n"


def test_a_task_gets_the_reason_why_its_dpop_connection_is_denied(
    crm: str, airflow_home: Path
) -> None:
    assert airflow_home.is_dir()
    failure = read_failure(as_airflow_makes_it().get_connection(question_id(crm)).extra)
    assert isinstance(failure, ConnectionConfigError)
    assert (failure.field, failure.retryable, str(failure)) == ("dpop", False, BOUND)


@pytest.fixture
def ended_otherwise(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records other errors that end a process of Airflow."""
    seen: list[str] = []

    def hook(
        kind: type[BaseException], _error: BaseException, _trace: TracebackType | None
    ) -> None:
        seen.append(kind.__name__)

    monkeypatch.setattr(sys, "excepthook", hook)
    return seen


def test_other_errors_still_end_a_process_with_a_traceback(
    ended_otherwise: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        denied = make_denial(ConnectionConfigError("It is wrong", conn_id="crm"))
    sys.excepthook(type(denied), denied, None)
    sys.excepthook(ValueError, ValueError("else"), None)
    assert ended_otherwise == ["ValueError"]
    assert capsys.readouterr().err == (
        f"The broker denies this connection. It is wrong in connection 'crm'.\n{STORED}\n"
    )
