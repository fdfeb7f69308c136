"""CeleryExecutor with isolated workers: one rotating grant, warm pools, and where records go."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "celery",  # not Airflow's provider: other folders say first where Airflow lives
    reason="CeleryExecutor is tested in .venv-services (scripts/test-services)",
)

from tests.celery.conftest import CONTACTS, Cluster

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres, pytest.mark.full]

_OWN_DISK = "a folder of the machine that a task runs on"


def run(cluster: Cluster, dag_id: str) -> tuple[str, dict[tuple[str, int], dict[str, Any]]]:
    """State of a new run, and its task instances by task and map index."""
    run_id = cluster.airflow.trigger(dag_id)
    state = cluster.airflow.wait(dag_id, run_id)
    instances = cluster.airflow.task_instances(dag_id, run_id)
    return state, {(one["task_id"], one["map_index"]): one for one in instances}


def read_machine_log(home: Path, dag_id: str) -> str:
    """The whole log of a machine about a DAG, in parsing or in its tasks."""
    texts = (path.read_text(errors="replace") for path in (home / "logs").rglob("*.log"))
    return "\n".join(line for text in texts for line in text.splitlines() if dag_id in line)


def task_log(cluster: Cluster, host: str, dag_id: str, task_id: str) -> str:
    """The log of a task on the machine ``host``; tasks of DAGs write below a folder of the DAG's name."""
    folder = cluster.folder / host / "logs" / f"dag_id={dag_id}"
    found = [path for path in folder.rglob("*.log") if f"task_id={task_id}" in path.parts]
    return "\n".join(path.read_text(errors="replace") for path in found)


def notes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("part-*"):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt") as lines:
            yield from (json.loads(line)["note"] for line in lines)


def test_isolated_workers_share_one_rotating_grant_and_start_warm(cluster: Cluster) -> None:
    run_id = cluster.airflow.trigger("celery_airports")
    assert cluster.airflow.wait("celery_airports", run_id) == "success"
    for host in ("one", "two"):
        for number in range(4):
            returned = cluster.airflow.xcom("celery_airports", run_id, host, number)
            assert returned == [
                host,
                "requests",
                "psycopg",
                "oauth_taskflow.taskflow.sessions",
            ]
    counters = cluster.server.counters
    assert counters.token_requests > 1
    assert (counters.reuse_detected, counters.revoked_families) == (0, 0)


def test_a_relative_destination_is_reported_before_the_run_and_by_the_child_elsewhere(
    cluster: Cluster,
) -> None:
    cluster.airflow.wait_for_dag("relative")
    parsed = read_machine_log(cluster.folder / "airflow", "relative")
    assert _OWN_DISK in parsed
    assert "CeleryExecutor" in parsed
    state, instances = run(cluster, "relative")
    assert state == "failed"
    assert instances["contacts", -1]["state"] == "success"
    assert {instances["notes", number]["state"] for number in range(2)} == {"failed"}
    assert _OWN_DISK in task_log(cluster, "one", "relative", "contacts")
    child = task_log(cluster, "two", "relative", "notes")
    file = cluster.folder / "home" / "lake" / "contacts"
    assert "are not on this machine, two: one wrote them to its own disk" in child
    assert f"at {file}" in child
    assert "an object store, or a folder that all workers share" in child
    assert not list(notes(cluster.folder / "two" / "lake"))


@pytest.mark.parametrize(
    ("dag_id", "hosts", "place"),
    [("shared", "one two", "shared"), ("rooted", "three four", "root/pool")],
)
def test_a_destination_that_all_workers_share_is_complete(
    cluster: Cluster, dag_id: str, hosts: str, place: str
) -> None:
    parent, child = hosts.split()
    for _ in range(2):
        state, instances = run(cluster, dag_id)
        assert state == "success"
        assert instances["contacts", -1]["hostname"] == parent
        assert {instances["notes", number]["hostname"] for number in range(2)} == {child}
    assert sorted(notes(cluster.folder / place / "notes")) == sorted(2 * list(range(CONTACTS)))
    warned = _OWN_DISK in task_log(cluster, parent, dag_id, "contacts")
    assert warned == (dag_id == "shared")
