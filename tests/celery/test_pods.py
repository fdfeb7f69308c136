"""Tasks in pods: a new process and an empty disk for each, nothing but the Execution API, and one of them is evicted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "celery",
    reason="isolated tasks are tested in .venv-services (scripts/test-services)",
)

from tests.celery.conftest import require_programs
from tests.celery.mapped import (
    FORMATS,
    Output,
    choose_countries,
    deployed,
    expected_records,
    wait_for,
)
from tests.celery.parts import kill_machine

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres, pytest.mark.full]
COUNT = 4


def test_an_evicted_pod_without_secrets_and_disk_costs_no_record(
    tmp_path: Path, postgres_url: str
) -> None:
    require_programs(tmp_path)
    countries = choose_countries(COUNT)
    pods = tmp_path / "pods"
    with deployed(tmp_path, postgres_url, countries, brokered=True, pods=True) as cluster:
        airflow = cluster.airflow
        run_id = airflow.trigger("countries")

        def find_running() -> str | None:
            tasks = airflow.task_instances("countries", run_id)
            return next((t["hostname"] for t in tasks if t["state"] == "running"), None)

        evicted = wait_for(find_running, "no pod runs")
        kill_machine(int((pods / f"{evicted}.pid").read_text()))
        assert airflow.wait("countries", run_id) == "success"

        tasks = airflow.task_instances("countries", run_id)
        hosts = [task["hostname"] for task in tasks]
        assert len(set(hosts)) == len(hosts)
        assert evicted not in hosts
        expected = expected_records(countries)
        for file_format in FORMATS:
            output = Output(cluster.store, file_format, run_id)
            assert output.read_records() == expected
            assert output.list_objects() == output.list_named()
        counters = cluster.server.counters
        assert (counters.reuse_detected, counters.revoked_families) == (0, 0)
