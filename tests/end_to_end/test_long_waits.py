"""Waits that are longer than a worker slot is held for, in a whole Airflow: for an API that asks, and for a budget."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import Asked, Reply, ScriptedApi, scripted
from tests.end_to_end.task_logs import read_log

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGES, BUDGET, PAGES_OF_REGION = 6, 3, 3
# One part of the API asks for a wait after three pages, the spec allows the mapped tasks of the other four within some
# seconds; a slot is held for one second.
ALLOWED, PERIOD = 4, 8.0
SPEC = """\
version: 1
dag_id: patient
start_date: 2026-01-01
connection: api
default_args: {{retries: 0}}
defaults:
  records: items
  destination: {{type: file, path: "{folder}/{{{{ endpoint }}}}"}}
  paginate: {{type: cursor, next: next, param: at}}
endpoints:
  alone:
    request: {{path: /alone}}
  regions:
    for_each: {{region: [eu, us]}}
    request: {{path: "/{{{{ region }}}}"}}
    rate_limit: {{requests: 4, per: PT8S}}
"""


class Budget:
    """Three pages of ``/alone``, then 429 until the wait is over; of other paths, the times of their requests."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()
        self.times: list[float] = []

    def __call__(self, asked: Asked) -> Any:
        at = int(asked.query.get("at", 0))
        if asked.path != "/alone":
            self.times.append(time.monotonic())
        elif at == BUDGET:
            until = self._until.setdefault(asked.path, time.monotonic() + self._seconds)
            if (left := until - time.monotonic()) > 0:
                self.refused[asked.path] += 1
                return Reply({}, 429, headers={"Retry-After": str(int(left) + 1)})
        self.asked[asked.path, at] += 1
        pages = PAGES if asked.path == "/alone" else PAGES_OF_REGION
        following = {"next": str(at + 1)} if at + 1 < pages else {}
        return {"items": [{"id": f"{asked.path}{at}"}], **following}


@pytest.fixture
def api() -> Iterator[tuple[ScriptedApi, Budget]]:
    budget = Budget(6.0)
    with scripted(budget) as server:
        yield server, budget


def test_the_slot_is_free_while_an_api_asks_to_wait_and_no_page_comes_twice(
    tmp_path: Path, api: tuple[ScriptedApi, Budget]
) -> None:
    server, budget = api
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "specs.py").write_text(
        "from oauth_taskflow import load_specs  # airflow dag\nload_specs(globals(), '.')\n"
    )
    (dags / "patient.yaml").write_text(SPEC.format(folder=tmp_path / "lake"))
    connection = {"conn_type": "oauth2", "host": server.url, "extra": {"auth_type": "none"}}
    environment = {
        "AIRFLOW__OAUTH_TASKFLOW__LONGEST_WAIT": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with AirflowDeployment(tmp_path / "home", dags, environment=environment) as airflow:
        airflow.add_connection("api", connection)
        run_id = airflow.trigger("patient")
        states: set[tuple[str, str]] = set()
        while airflow.call("GET", f"/dags/patient/dagRuns/{run_id}")["state"] not in {
            "success",
            "failed",
        }:
            tasks = airflow.task_instances("patient", run_id)
            states |= {(task["task_id"], str(task["state"])) for task in tasks}
            time.sleep(0.5)  # the API server works for the tasks too
        assert airflow.wait("patient", run_id) == "success"
        tries = {t["try_number"] for t in airflow.task_instances("patient", run_id)}
        summary = airflow.xcom("patient", run_id, "alone")
        log = read_log(tmp_path / "home", "task_id=alone")
        links = airflow.call("GET", f"/dags/patient/dagRuns/{run_id}/taskInstances/alone/links")
    assert {("alone", "up_for_reschedule"), ("regions", "up_for_reschedule")} <= states
    assert tries == {1}
    assert (summary["rows"], summary["pages"], summary["resumed"]) == (PAGES, PAGES, 1)
    assert links["extra_links"]["Output"].endswith("/tasks/alone/plugin/oauth-endpoint-run")
    assert links["extra_links"]["Reconnect"] is None
    assert set(budget.asked.values()) == {1}
    lines = [line.removeprefix("alone: ") for line in log if line.startswith("alone: ")]
    assert lines[0] == f"first page: 1 rows from {server.url}/alone"
    assert lines[1].startswith("sequence 1 of 1 was cut off: 3 pages, 3 rows, ")
    assert lines[1].endswith(f"{server.url}/alone?at=2")
    assert [line for line in lines if line.startswith("6 rows in 6 pages, ") and "rows/s" in line]
    assert budget.refused == {"/alone": 1}
    times = budget.times
    assert all(b - a >= PERIOD for a, b in zip(times, times[ALLOWED:], strict=False))
    files = sorted((tmp_path / "lake").rglob("part-*.jsonl"))
    rows = [json.loads(line)["id"] for file in files for line in file.read_bytes().splitlines()]
    pages = {"alone": PAGES, "eu": PAGES_OF_REGION, "us": PAGES_OF_REGION}
    assert sorted(rows) == sorted(f"/{place}{at}" for place in pages for at in range(pages[place]))
