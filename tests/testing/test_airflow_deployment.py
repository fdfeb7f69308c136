"""The message of a deployment that does not start; ``tests/end_to_end`` has those that do."""

from __future__ import annotations

import re
import socket
import sys
import threading
import urllib.error
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment, DeploymentFailed
from tests.api.scripted import Asked, Reply, scripted
from tests.oauth.raw_server import read_request


def stand_in(tmp_path: Path, program: str) -> AirflowDeployment:
    """A deployment whose Airflow is ``program``."""
    deployment = AirflowDeployment(tmp_path / "home", tmp_path / "dags")
    deployment.command = [sys.executable, "-c", program]
    return deployment


class Listing(AirflowDeployment):
    """A deployment with 250 task instances, whose API shows at most 100 of them at once, as Airflow's does."""

    def call(self, method: str, path: str, body: Any = None, *, patience: float = 0.0) -> Any:
        """The page of the listing that ``path`` asks for."""
        asked = parse_qs(urlsplit(path).query)
        start, size = int(asked["offset"][0]), min(int(asked["limit"][0]), 100)
        found = [{"map_index": number} for number in range(250)][start : start + size]
        return {"task_instances": found, "total_entries": 250}


def test_all_task_instances_of_a_run_are_listed(tmp_path: Path) -> None:
    listed = Listing(tmp_path / "home", tmp_path / "dags").task_instances("countries", "run")
    assert [task["map_index"] for task in listed] == [*range(250)]


def test_the_database_of_another_airflow_in_the_shell_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC", "SQL_ALCHEMY_SCHEMA"):
        monkeypatch.setenv(f"AIRFLOW__DATABASE__{name}", "another")
    environment = AirflowDeployment(tmp_path / "home", tmp_path / "dags").environment
    found = {name: v for name, v in environment.items() if name.startswith("AIRFLOW__DATABASE__")}
    (database,) = found.values()
    assert str(tmp_path / "home") in database


def test_psycopg_serves_both_kinds_of_sessions(tmp_path: Path) -> None:
    def databases(url: str) -> set[str]:
        airflow = AirflowDeployment(tmp_path / "home", tmp_path / "dags", database=url)
        return {name for name, value in airflow.environment.items() if value == url}

    both = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"}
    assert databases("postgresql+psycopg://airflow@127.0.0.1/airflow") == both
    other = databases("postgresql+psycopg2://airflow@127.0.0.1/airflow")
    assert other == {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}  # it has no asynchronous sessions


def test_an_airflow_that_ends_at_once_is_reported_at_once(tmp_path: Path) -> None:
    deployment = stand_in(tmp_path, "print('no such option'); raise SystemExit(3)")
    message = f"Airflow ended with exit status 3 before it was healthy; see {deployment.log}"
    with pytest.raises(DeploymentFailed, match=f"^{re.escape(message)}$"):
        deployment.start()
    assert deployment.log.read_text() == "no such option\n"


def test_an_airflow_that_is_never_healthy_is_stopped_and_reported(tmp_path: Path) -> None:
    deployment = stand_in(tmp_path, "import time; time.sleep(600)")
    message = f"Airflow did not become healthy in 0 s; see {deployment.log}"
    with pytest.raises(DeploymentFailed, match=f"^{re.escape(message)}$"):
        deployment.start(timeout=0.0)
    deployment.stop()  # as nothing runs any more


def test_a_server_that_goes_away_is_reported_with_the_log(tmp_path: Path) -> None:
    deployment = stand_in(tmp_path, "")
    with pytest.raises(DeploymentFailed) as failed:
        deployment.call("GET", "/dags", patience=0.0)
    assert f"Airflow did not answer POST {deployment.url}/auth/token (" in str(failed.value)
    assert str(failed.value).endswith(f"; see {deployment.log}")


@pytest.mark.slow
def test_a_busy_server_is_asked_again_as_long_as_the_run_may_take(tmp_path: Path) -> None:
    deployment = stand_in(tmp_path, "")
    with socket.create_server(("127.0.0.1", deployment.port)) as listener:
        server = threading.Thread(target=hang_up_at_first, args=(listener,))
        server.start()
        assert deployment.wait("crm", "run") == "success"
        server.join()


def hang_up_at_first(listener: socket.socket) -> None:
    """Answers a login and a question for a run, each after one request without an answer."""
    bodies = [b"", b'{"access_token": "a"}', b"", b'{"state": "success"}']
    for body in bodies:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            if body:
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)


def answer_rest(asked: Asked) -> Any:
    """A REST API with a run that never ends, and a DAG that may not be triggered."""
    if asked.path == "/auth/token":
        return {"access_token": "t"}
    if asked.path == "/api/v2/importErrors":
        return {"import_errors": ["no module named crm"]}
    if asked.path.endswith("/dagRuns/run"):
        return {"state": "running"}
    return Reply({"detail": "no"}, 409 if asked.method == "PATCH" else 404)


def test_what_never_comes_or_is_refused_is_reported(tmp_path: Path) -> None:
    with scripted(answer_rest) as api:
        deployment = AirflowDeployment(tmp_path, tmp_path, port=urlsplit(api.url).port)
        with pytest.raises(
            DeploymentFailed, match=r"Run run of crm is running after 0 s; see .*log"
        ):
            deployment.wait("crm", "run", timeout=0.0)
        with pytest.raises(DeploymentFailed, match=r"is not there: .*no module named crm"):
            deployment.wait_for_dag("crm", timeout=0.0)
        with pytest.raises(urllib.error.HTTPError, match=r"Conflict: .*no") as refused:
            deployment.trigger("crm")
        assert refused.value.code == 409
