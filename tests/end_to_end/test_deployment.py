"""A whole Airflow: scheduler, DAG processor, API server and LocalExecutor, each task in a separate process."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.end_to_end import patient
from tests.end_to_end.async_dags import ASYNC_DAG
from tests.end_to_end.changing import list_bundles, write_changing
from tests.end_to_end.git_bundle import commit
from tests.end_to_end.growing import read_ids, read_mirror, run_while_it_grows, write_growing
from tests.end_to_end.limited import BUDGET, PAGES, PERIOD, REGIONS, run_at_once, write_limited
from tests.end_to_end.task_logs import read_log
from tests.taskflow.dags.hostile_specs import write_hostile_specs

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")

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
    """Tokens to be refreshed every second, refresh tokens that can be used once, no grace."""
    with OAuthTestServer(token_lifetime=1.0, rotate=True, grace=0.0, latency=0.02) as server:
        server.policy = replace(server.policy, tolerance=600.0)
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
    write_hostile_specs(dags / "hostile")
    write_changing(dags, home, "changing", "one")
    write_growing(dags, home / "lake" / "growing")
    write_limited(dags, home / "lake" / "limited")
    (dags / "decorated.py").write_text(DECORATED)
    (dags / "asynchronous.py").write_text(ASYNC_DAG)
    repository = home / "repository"
    repository.mkdir()
    write_changing(repository, home, "committed", "first")
    (repository / "specs.py").write_text((dags / "specs.py").read_text())
    commit(repository, "first")
    patient.write_patient(home / "patient", home / "lake" / "patient")
    environment = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
            list_bundles(repository, home / "patient")
        ),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # Files change here. Each parse starts a process, so that other deployments keep to Airflow's half minute.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with AirflowDeployment(home, dags, environment=environment, parallelism=4) as deployment:
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


def listening(port: str) -> set[str] | None:
    """Addresses in hexadecimal on which something listens at ``port``; None while nothing does."""
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    found = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, number in found if number == f"{int(port):04X}"} or None


def test_airflow_and_its_log_servers_listen_on_loopback_only(airflow: AirflowDeployment) -> None:
    sections = ("API__PORT", "LOGGING__WORKER_LOG_SERVER_PORT", "LOGGING__TRIGGER_LOG_SERVER_PORT")
    for name in sections:
        port = airflow.environment[f"AIRFLOW__{name}"]
        assert wait_until(partial(listening, port)) == {"0100007F"}, name


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
    lines = [line for line in read_log(airflow.home, "dag_id=crm/") if "refresh grant=" in line]
    assert lines
    assert len(set(lines)) == len(lines)  # the fence makes each attempt another line
    # Airflow masks the whole token_url, because of its name.
    assert {line.rpartition(" at=")[2] for line in lines} == {server.token_url.partition("://")[2]}


def test_the_asset_event_carries_the_row_count(airflow: AirflowDeployment) -> None:
    events = airflow.call("GET", "/assets/events?source_task_id=countries")["asset_events"]
    assert events[0]["extra"]["rows"] > 200


def wait_until(condition: Callable[[], T | None], seconds: float = 300.0) -> T:
    """Returns the first result of ``condition`` that is not None."""
    deadline = time.monotonic() + seconds
    while (found := condition()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def test_each_broken_or_hostile_spec_is_an_import_error_and_takes_no_other_dag_away(
    airflow: AirflowDeployment,
) -> None:
    names = {f"hostile/{path.name}" for path in (airflow.home / "dags" / "hostile").glob("*.yaml")}
    assert len(names) > 10

    # Airflow forgets them at each refresh of the bundle, until the next parse (taskflow/dags/broken_spec.py).
    def errors() -> dict[str, str] | None:
        listed = airflow.call("GET", "/importErrors?limit=100")["import_errors"]
        found = {error["filename"]: error["stack_trace"] for error in listed}
        return found if set(found) == {"broken.yaml", *names} else None

    found = wait_until(errors)["broken.yaml"]
    assert "broken.yaml:4:7: error: endpoints.a.requst" in found
    assert "Did you mean 'request'?" in found
    listed = airflow.call("GET", "/dags?limit=100")["dags"]
    states = {dag["dag_id"]: (dag["is_stale"], dag["has_import_errors"]) for dag in listed}
    for good in ("crm", "changing", "decorated"):
        assert states[good] == (False, False)


def versions(airflow: AirflowDeployment, dag_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.call("GET", f"/dags/{dag_id}/dagVersions")["dag_versions"]
    return found


def code(airflow: AirflowDeployment, dag_id: str) -> str:
    return str(airflow.call("GET", f"/dagSources/{dag_id}")["content"])


def test_each_change_of_a_spec_is_a_version_and_code_shows_the_yaml(
    airflow: AirflowDeployment,
) -> None:
    dags = airflow.home / "dags"
    run_id = airflow.trigger("changing")
    assert airflow.wait("changing", run_id) == "success"
    assert code(airflow, "changing") == (dags / "changing.yaml").read_text()
    noted = write_changing(dags, airflow.home, "changing", "one", note="# why\n")
    wait_until(lambda: True if code(airflow, "changing") == noted else None)
    assert len(versions(airflow, "changing")) == 1
    changed = write_changing(dags, airflow.home, "changing", "two", note="# why\n")
    wait_until(lambda: True if code(airflow, "changing") == changed else None)
    assert [one["version_number"] for one in versions(airflow, "changing")] == [1, 2]


def test_a_run_without_an_interval_says_what_it_reads(airflow: AirflowDeployment) -> None:
    run_id = airflow.trigger("changing")
    assert airflow.wait("changing", run_id) == "success"
    path = f"/dags/changing/dagRuns/{run_id}/taskInstances/countries/logs/1"
    log = json.dumps(airflow.call("GET", path))
    assert "this run has no data interval" in log
    assert "everything from 2026-01-01 (incremental.start)" in log


def test_runs_without_a_schedule_go_on_where_the_last_ended(airflow: AirflowDeployment) -> None:
    assert run_while_it_grows(airflow) == ["success", "failed", "success"]
    lake = airflow.home / "lake" / "growing"
    assert read_ids(lake / "contacts") == list(range(1, 16))
    assert read_ids(lake / "notes") == sorted([*range(1, 16)] * 3)
    assert read_mirror(airflow, "growing/contacts")["value"] == "2026-01-01T00:15:00Z"
    assert read_mirror(airflow, "growing/notes")["partitions"] == 3


def test_mapped_tasks_of_a_spec_keep_to_its_budgets_together(airflow: AirflowDeployment) -> None:
    api, state = run_at_once(airflow)
    assert state == "success"
    assert len(api.came) == REGIONS * PAGES
    assert api.most_in_any(PERIOD) <= BUDGET
    wanted = [region * 10 + page for region in range(1, REGIONS + 1) for page in range(PAGES)]
    assert read_ids(airflow.home / "lake" / "limited") == wanted


def test_the_slot_is_free_while_an_api_asks_to_wait_and_no_page_comes_twice(
    airflow: AirflowDeployment,
) -> None:
    run = patient.run_patient(airflow)
    assert run.state == "success"
    assert {("alone", "up_for_reschedule"), ("regions", "up_for_reschedule")} <= run.seen
    assert {t["try_number"] for t in airflow.task_instances("patient", run.run_id)} == {1}
    summary = airflow.xcom("patient", run.run_id, "alone")
    pages = patient.PAGES
    assert (summary["rows"], summary["pages"], summary["resumed"]) == (pages, pages, 1)
    path = f"/dags/patient/dagRuns/{run.run_id}/taskInstances/alone/links"
    links = airflow.call("GET", path)["extra_links"]
    assert links["Output"].endswith("/tasks/alone/plugin/oauth-endpoint-run")
    assert links["Reconnect"] is None
    log = read_log(airflow.home, "task_id=alone")
    lines = [line.removeprefix("alone: ") for line in log if line.startswith("alone: ")]
    assert lines[0] == f"first page: 1 rows from {run.url}/alone"
    assert lines[1].startswith("sequence 1 of 1 was cut off: 3 pages, 3 rows, ")
    assert lines[1].endswith(f"{run.url}/alone?at=2")
    assert [line for line in lines if line.startswith("6 rows in 6 pages, ") and "rows/s" in line]
    assert run.api.refused == {"/alone": 1}
    times = run.api.times
    later = zip(times, times[patient.ALLOWED :], strict=False)
    assert all(b - a >= patient.PERIOD for a, b in later)
    wanted = {"alone": pages, **dict.fromkeys(("eu", "us"), patient.PAGES_OF_REGION)}
    ids = sorted(f"/{place}{at}" for place, count in wanted.items() for at in range(count))
    assert patient.read_ids(airflow.home / "lake" / "patient") == ids
    assert set(run.api.asked.values()) == {1}


def test_a_run_in_a_versioned_bundle_keeps_the_spec_of_its_commit(
    airflow: AirflowDeployment,
) -> None:
    lake, repository = airflow.home / "lake", airflow.home / "repository"
    run_id = airflow.trigger("committed")
    assert airflow.wait("committed", run_id) == "success"
    (version,) = versions(airflow, "committed")
    shutil.move(lake / "first", lake / "kept")
    write_changing(repository, airflow.home, "committed", "second")
    second = commit(repository, "second")
    newest = wait_until(
        lambda: next((v for v in versions(airflow, "committed") if v["version_number"] == 2), None)
    )
    assert newest["bundle_version"] == second != version["bundle_version"]
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False}
    airflow.call("POST", "/dags/committed/clearTaskInstances", body)
    assert airflow.wait("committed", run_id) == "success"
    assert (lake / "first").is_dir()
    assert not (lake / "second").exists()


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
    # A deleted resource cannot come back: retries would be useless, although the error arose in the triggerer.
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
    issued = server.state.list_issued()
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
