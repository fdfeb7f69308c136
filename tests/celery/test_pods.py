"""Tasks in pods: a new process and an empty disk for each, nothing but the Execution API, and one of them is evicted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "celery",
    reason="isolated tasks are tested in .venv-services (scripts/test-services)",
)

from tests.celery.conftest import require_programs
from tests.celery.executors import PODS
from tests.celery.mapped import Cluster, name_dag, running_site, wait_for
from tests.celery.outcome import check_output, choose_countries
from tests.celery.parts import kill_machine

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres, pytest.mark.full]
COUNT = 4


def test_an_evicted_pod_without_secrets_and_disk_costs_no_record(
    tmp_path: Path, postgres_url: str
) -> None:
    require_programs(tmp_path)
    with (
        running_site(tmp_path, postgres_url, PODS, [COUNT], brokered=True) as site,
        site.cluster(brokered=True) as cluster,
    ):
        _evict_one(cluster, tmp_path / "pods")


def _evict_one(cluster: Cluster, pods: Path) -> None:
    airflow, dag_id = cluster.airflow, name_dag(COUNT)
    run_id = airflow.trigger(dag_id)

    def find_running() -> str | None:
        tasks = airflow.task_instances(dag_id, run_id)
        return next((t["hostname"] for t in tasks if t["state"] == "running"), None)

    evicted = wait_for(find_running, "no pod runs")
    kill_machine(int((pods / f"{evicted}.pid").read_text()))
    assert airflow.wait(dag_id, run_id) == "success"

    hosts = [task["hostname"] for task in airflow.task_instances(dag_id, run_id)]
    assert len(set(hosts)) == len(hosts)
    assert evicted not in hosts
    check_output(cluster.store, dag_id, run_id, choose_countries(COUNT))
    counters = cluster.server.counters
    assert (counters.reuse_detected, counters.revoked_families) == (0, 0)
