"""An API that asks for a wait which is longer than a worker slot is held for, and a budget that does."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import Struct

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import Asked, Reply, scripted
from tests.end_to_end.limited import WITHOUT_LOGIN

PAGES, BUDGET, PAGES_OF_REGION = 6, 3, 3
# One part of the API asks for a wait after three pages, the spec allows the mapped tasks of the other four within some
# seconds; a slot is held for one second.
ALLOWED, PERIOD = 4, 8.0
# Tasks, which are forks of what imports this file, read the option there; those of other bundles do not.
_DAGS = """\
import os
from oauth_taskflow import load_specs  # airflow dag
os.environ["AIRFLOW__OAUTH_TASKFLOW__LONGEST_WAIT"] = "1"
load_specs(globals(), ".")
"""
_SPEC = """\
version: 1
dag_id: patient
start_date: 2026-01-01
connection: patient
default_args: {{retries: 0}}
defaults:
  records: items
  destination: {{type: file, path: "{lake}/{{{{ endpoint }}}}"}}
  paginate: {{type: cursor, next: next, param: at}}
endpoints:
  alone:
    request: {{path: /alone}}
  regions:
    for_each: {{region: [eu, us]}}
    request: {{path: "/{{{{ region }}}}"}}
    rate_limit: {{requests: 4, per: PT8S}}
"""


class Patience:
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


class PatientRun(Struct):
    """A run that has ended: the API that it read, with its address, and the states in which its tasks were seen."""

    api: Patience
    url: str
    run_id: str
    state: str
    seen: set[tuple[str, str]]


def write_patient(dags: Path, lake: Path) -> None:
    """Writes the spec and its DAG file, which must be a bundle of their own; the output goes below ``lake``."""
    dags.mkdir()
    (dags / "specs.py").write_text(_DAGS)
    (dags / "patient.yaml").write_text(_SPEC.format(lake=lake))


def run_patient(airflow: AirflowDeployment) -> PatientRun:
    """Runs the DAG once."""
    api = Patience(6.0)
    with scripted(api) as server:
        airflow.add_connection("patient", {**WITHOUT_LOGIN, "host": server.url})
        run_id = airflow.trigger("patient")
        seen: set[tuple[str, str]] = set()
        while airflow.call("GET", f"/dags/patient/dagRuns/{run_id}")["state"] not in {
            "success",
            "failed",
        }:
            tasks = airflow.task_instances("patient", run_id)
            seen |= {(task["task_id"], str(task["state"])) for task in tasks}
            time.sleep(0.5)  # the API server works for the tasks too
        return PatientRun(api, server.url, run_id, airflow.wait("patient", run_id), seen)


def read_ids(lake: Path) -> list[str]:
    """The ids in all output, sorted."""
    files = sorted(lake.rglob("part-*.jsonl"))
    return sorted(
        json.loads(line)["id"] for file in files for line in file.read_bytes().splitlines()
    )
