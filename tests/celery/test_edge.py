"""Edge workers of remote sites: the API server's URL, one shared secret and an empty disk each, and one of them dies."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip(
    "airflow.providers.edge3",
    reason="EdgeExecutor is tested in .venv-services (scripts/test-services)",
)

from airflow.api_fastapi.auth.tokens import JWTGenerator

from tests.celery.conftest import require_programs
from tests.celery.executors import EDGE, key_of_airflow
from tests.celery.mapped import Cluster, Site, running_site

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.postgres, pytest.mark.full]
COUNT = 8
_LIVES: dict[str, Any] = {"valid_for": 60, "audience": "apache-airflow"}


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("edge")
    require_programs(folder)
    with running_site(folder, postgres_url, EDGE, [COUNT], brokered=True) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(site: Site) -> Iterator[Cluster]:
    with site.cluster(brokered=True) as cluster:
        yield cluster


def test_an_edge_site_that_dies_costs_no_record_no_token_and_no_budget(cluster: Cluster) -> None:
    cluster.check_run_with_a_death(COUNT)


def test_the_secret_of_an_edge_site_opens_nothing_but_the_edge_api(site: Site) -> None:
    secret = site.airflow.environment["AIRFLOW__API_AUTH__JWT_SECRET"]
    own = JWTGenerator(private_key=key_of_airflow(site.folder).read_bytes(), **_LIVES)
    forged = JWTGenerator(secret_key=secret, kid=own.kid, **_LIVES)
    # The same claims, signed with the key that sites do not have, are those of Airflow's administrator.
    assert _list_connections(site, own) == 200
    assert _list_connections(site, forged) in (401, 403)


def _list_connections(site: Site, signer: JWTGenerator) -> int:
    """The status of Airflow's list of connections for an administrator's token by ``signer``."""
    token = signer.generate({"sub": "admin", "role": "admin"})
    request = urllib.request.Request(
        f"{site.airflow.url}/api/v2/connections", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
