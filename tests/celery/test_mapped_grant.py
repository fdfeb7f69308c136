"""Many mapped tasks on two machines share one rotating grant and one budget, and one of the machines dies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip(
    "celery",
    reason="CeleryExecutor is tested in .venv-services (scripts/test-services)",
)

from tests.budgets.crowd import most_in_any
from tests.celery.conftest import require_programs
from tests.celery.mapped import (
    APART,
    BUDGET,
    FORMATS,
    PERIOD,
    Cluster,
    Output,
    choose_countries,
    deployed,
    expected_records,
    token_requests,
)

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres]
FEW, MANY = 24, 200


@pytest.fixture(
    params=[
        pytest.param((False, FEW), id="24 tasks"),
        pytest.param((True, FEW), id="24 tasks in broker mode", marks=pytest.mark.full),
        pytest.param((False, MANY), id="200 tasks", marks=pytest.mark.full),
        pytest.param((True, MANY), id="200 tasks in broker mode", marks=pytest.mark.full),
    ]
)
def size_and_cluster(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str
) -> Iterator[tuple[int, Cluster]]:
    require_programs(tmp_path)
    brokered, count = request.param
    with deployed(tmp_path, postgres_url, choose_countries(count), brokered=brokered) as cluster:
        yield count, cluster


def test_a_machine_that_dies_costs_no_record_no_token_and_no_budget(
    size_and_cluster: tuple[int, Cluster],
) -> None:
    count, cluster = size_and_cluster
    airflow, server = cluster.airflow, cluster.server
    run_id = airflow.trigger("countries")
    dead = cluster.kill_one_at_work(run_id)
    assert airflow.wait("countries", run_id, timeout=14_400) == "success"

    instances = [t for t in airflow.task_instances("countries", run_id) if t["map_index"] >= 0]
    assert [task["state"] for task in instances] == count * ["success"]
    tried_again = [task for task in instances if task["try_number"] > 1]
    assert tried_again
    assert dead not in {task["hostname"] for task in tried_again}

    asked = sorted(request.time for request in token_requests(server))
    assert len(asked) > 2
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) > APART
    counters = server.counters
    assert (counters.reuse_detected, counters.revoked_families) == (0, 0)

    pages = [request.time for request in server.requests if request.path.startswith("/countries/")]
    assert most_in_any(pages, PERIOD) <= BUDGET

    expected = expected_records(choose_countries(count))
    for file_format in FORMATS:
        output = Output(cluster.store, file_format, run_id)
        assert output.read_records() == expected
        assert output.list_objects() == output.list_named()
