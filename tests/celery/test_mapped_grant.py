"""Many mapped tasks on two machines share one rotating grant and one budget, and one of the machines dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip(
    "celery",
    reason="CeleryExecutor is tested in .venv-services (scripts/test-services)",
)

from tests.celery.conftest import require_programs
from tests.celery.executors import CELERY
from tests.celery.mapped import Cluster, Site, running_site

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres]
FEW, MANY = 24, 200


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One Airflow for both modes, because its start takes as long as some ten tasks."""
    folder = tmp_path_factory.mktemp("mapped")
    require_programs(folder)
    with running_site(folder, postgres_url, CELERY, (FEW, MANY), brokered=False) as running:
        yield running


@pytest.fixture(
    params=[
        pytest.param((False, FEW), id="24 tasks"),
        pytest.param((False, MANY), id="200 tasks", marks=pytest.mark.full),
        pytest.param((True, FEW), id="24 tasks in broker mode"),
        pytest.param((True, MANY), id="200 tasks in broker mode", marks=pytest.mark.full),
    ]
)
def size_and_cluster(request: pytest.FixtureRequest, site: Site) -> Iterator[tuple[int, Cluster]]:
    brokered, count = request.param
    with site.cluster(brokered=brokered) as cluster:
        yield count, cluster


def test_a_machine_that_dies_costs_no_record_no_token_and_no_budget(
    size_and_cluster: tuple[int, Cluster],
) -> None:
    count, cluster = size_and_cluster
    cluster.check_run_with_a_death(count)
