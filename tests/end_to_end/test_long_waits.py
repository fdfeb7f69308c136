"""An API that asks to wait longer than a worker slot is held for, in a whole Airflow."""

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

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGES, BUDGET = 6, 3
# Both parts of the API ask for a wait after three pages; a slot is held for one second.
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
"""


class Budget:
    """Three pages, then 429 until the wait is over, once for each path."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Any:
        at = int(asked.query.get("at", 0))
        if at == BUDGET:
            until = self._until.setdefault(asked.path, time.monotonic() + self._seconds)
            if (left := until - time.monotonic()) > 0:
                self.refused[asked.path] += 1
                return Reply({}, 429, headers={"Retry-After": str(int(left) + 1)})
        self.asked[asked.path, at] += 1
        following = {"next": str(at + 1)} if at + 1 < PAGES else {}
        return {"items": [{"id": f"{asked.path}{at}"}], **following}


@pytest.fixture
def api() -> Iterator[tuple[ScriptedApi, Budget]]:
    budget = Budget(10.0)
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
        assert airflow.wait("patient", run_id) == "success"
        tries = {t["try_number"] for t in airflow.task_instances("patient", run_id)}
        summary = airflow.xcom("patient", run_id, "alone")
    assert {("alone", "up_for_reschedule"), ("regions", "up_for_reschedule")} <= states
    assert tries == {1}
    assert (summary["rows"], summary["pages"], summary["resumed"]) == (PAGES, PAGES, 1)
    assert set(budget.asked.values()) == {1}
    assert set(budget.refused.values()) == {1}
    files = sorted((tmp_path / "lake").rglob("part-*.jsonl"))
    rows = [json.loads(line)["id"] for file in files for line in file.read_bytes().splitlines()]
    assert sorted(rows) == sorted(
        f"/{place}{at}" for place in ("alone", "eu", "us") for at in range(PAGES)
    )
