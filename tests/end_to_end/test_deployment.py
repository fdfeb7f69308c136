"""A whole Airflow: scheduler, DAG processor, API server and LocalExecutor, each task a process of its own."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.deployment import AirflowDeployment
from tests.end_to_end.async_dags import ASYNC_DAG

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

SPEC = """\
version: 1
dag_id: crm
start_date: 2026-01-01
connection: crm
defaults:
  records: data
  destination: {{type: file, path: "{folder}/{{{{ endpoint }}}}", format: jsonl.gz}}
endpoints:
  countries:
    request: {{path: /countries}}
  airports:
    for_each: {{nation: {{endpoint: countries, batch: 60}}}}
    request: {{path: "/countries/{{{{ nation.code }}}}/airports"}}
    paginate: {{type: page, size: 500, size_param: per_page, total_pages: meta.pages}}
"""

DECORATED = """\
from airflow.sdk import dag
from oauth_taskflow import OAuthSession, oauth_task

@dag(schedule=None)
def decorated():
    @oauth_task(conn_id="crm", retries=3)
    def read(number: int, session: OAuthSession) -> int:
        answer = session.get("/countries")
        print("what the author prints:", answer.request.headers, session.headers, session.auth)
        for page in range(30):
            session.get("/page/airports", params={"page": page + 1, "per_page": 10}).raise_for_status()
        return number

    @oauth_task(conn_id="wrong", retries=3)
    def never(session: OAuthSession) -> None:
        session.get("/countries")

    @oauth_task(conn_id="crm")
    def leaks(session: OAuthSession) -> object:
        return session

    read.expand(number=list(range(4)))
    never()
    leaks()

decorated()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    """Tokens that live one second, refresh tokens that can be used once, no grace."""
    with OAuthTestServer(token_lifetime=1.0, rotate=True, grace=0.0, latency=0.02) as server:
        yield server


@pytest.fixture(scope="module")
def airflow(
    server: OAuthTestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowDeployment]:
    """Airflow with a spec, a broken spec and a decorated DAG."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    (dags / "specs.py").write_text(
        "from oauth_taskflow import load_specs  # airflow dag\nload_specs(globals(), '.')\n"
    )
    (dags / "crm.yaml").write_text(SPEC.format(folder=home / "lake"))
    (dags / "broken.yaml").write_text("version: 1\ndag_id: broken\nendpoints:\n  a: {requst: 1}\n")
    (dags / "decorated.py").write_text(DECORATED)
    (dags / "asynchronous.py").write_text(ASYNC_DAG)
    with AirflowDeployment(home, dags, parallelism=4) as deployment:
        seed = server.issue_refresh_token()
        deployment.add_connection("crm", server.connection(refresh_token=seed))
        deployment.add_connection("wrong", server.connection(password="not-the-secret"))
        yield deployment


def read_all(folder: Path) -> list[dict[str, object]]:
    files = sorted(folder.rglob("part-*.jsonl.gz"))
    return [
        json.loads(line)
        for file in files
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]


def test_mapped_spec_tasks_share_one_rotating_grant_and_lose_nothing(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    run_id = airflow.trigger("crm")
    assert airflow.wait("crm", run_id) == "success"
    found = [row["icao"] for row in read_all(airflow.home / "lake" / "airports")]
    assert len(found) == len(set(found)) > 28_000
    tasks = [t for t in airflow.task_instances("crm", run_id) if t["task_id"] == "airports"]
    assert len(tasks) == 4
    assert {task["try_number"] for task in tasks} == {1}
    assert server.counters.reuse_detected == 0
    assert server.counters.refreshes > 1


def test_the_asset_event_carries_the_row_count(airflow: AirflowDeployment) -> None:
    events = airflow.call("GET", "/assets/events?source_task_id=countries")["asset_events"]
    assert events[0]["extra"]["rows"] > 200


def test_the_broken_spec_is_an_import_error_with_its_place(airflow: AirflowDeployment) -> None:
    airflow.wait_for_dag("crm")
    # Airflow forgets it at each refresh of the bundle, until the next parse (taskflow/broken_spec.py).
    deadline = time.monotonic() + 30
    while not (errors := airflow.call("GET", "/importErrors")["import_errors"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    (error,) = errors
    assert error["filename"] == "broken.yaml"
    assert "broken.yaml:4:7: error: endpoints.a.requst" in error["stack_trace"]
    assert "Did you mean 'request'?" in error["stack_trace"]


def test_decorated_tasks_work_fail_and_refuse_as_they_should(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    run_id = airflow.trigger("decorated")
    assert airflow.wait("decorated", run_id) == "failed"
    tasks = airflow.task_instances("decorated", run_id)
    states = {(t["task_id"], t["map_index"]): t["state"] for t in tasks}
    assert [states["read", index] for index in range(4)] == ["success"] * 4
    # A wrong client secret cannot heal: three retries would only hammer the authorization server.
    (never,) = [t for t in tasks if t["task_id"] == "never"]
    assert (never["state"], never["try_number"]) == ("failed", 1)
    assert states["leaks", -1] == "failed"
    assert server.counters.reuse_detected == 0
    assert server.counters.revoked_families == 0


def test_async_tasks_and_triggers_share_the_rotating_grant(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    server.fault("/airports/ENGM", status=404, times=3)
    server.clear_log()
    run_id = airflow.trigger("asynchronous")
    assert airflow.wait("asynchronous", run_id) == "failed"
    tasks = airflow.task_instances("asynchronous", run_id)
    states = {(t["task_id"], t["map_index"]): t["state"] for t in tasks}
    assert states.pop(("gone", -1)) == "failed"
    assert set(states.values()) == {"success"}
    # What is gone cannot come back: three retries would be of no use, although the error arose in the triggerer.
    (gone,) = [t for t in tasks if t["task_id"] == "gone"]
    assert gone["try_number"] < 4
    assert airflow.xcom("asynchronous", run_id, "read", 1) == [200] * 50
    assert airflow.xcom("asynchronous", run_id, "pages") > 50
    asked = [one.status for one in server.requests if one.path == "/airports/ENGM"]
    assert asked[:4] == [404, 404, 404, 200]
    assert server.counters.reuse_detected == 0
    headers = str([one.headers for one in server.requests if one.path != "/oauth/token"])
    assert server.client_secret not in headers


def test_no_secret_is_in_any_log_or_in_the_metadata_database(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    issued = server.vault.issued()
    assert len(issued) > 4
    everything = b"".join(
        path.read_bytes()
        for folder in (airflow.home / "logs", airflow.home / "lake")
        for path in folder.rglob("*")
        if path.is_file()
    )
    everything += (airflow.home / "airflow.db").read_bytes()
    everything += (airflow.home / "oauth_taskflow.db").read_bytes()
    leaked = [token for token in [*issued, server.client_secret] if token.encode() in everything]
    assert leaked == []


def test_the_command_line_pulls_a_spec_with_the_same_connection(
    airflow: AirflowDeployment, tmp_path: Path
) -> None:
    spec = airflow.home / "dags" / "crm.yaml"
    command = [sys.executable, "-m", "airflow", "oauth", "pull", str(spec)]
    done = subprocess.run(
        [*command, "--endpoint", "countries", "--output", str(tmp_path)],
        env=airflow.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(read_all(tmp_path / "countries")) > 200
