"""Broker mode on separate machines: they share the Execution API and the place of the output, and nothing else.

Each task runs on its own machine: another host name, another disk with Airflow's home and the temporary folder, another
Fernet key, and an environment without the API server's settings.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.celery.parts import can_be_machines, use_celery
from tests.end_to_end import limited
from tests.end_to_end.growing import read_ids, run_while_it_grows, write_growing
from tests.end_to_end.leak_dags import LOADING
from tests.end_to_end.limited import run_at_once, write_limited
from tests.postgres import create_database

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

FERNET_KEY = Fernet.generate_key().decode()
_DAG = """\
import os, socket, tempfile
from airflow.sdk import dag
from airflow.sdk.configuration import conf
from oauth_taskflow import OAuthSession, oauth_task

@dag(schedule=None)
def machines():
    @oauth_task(conn_id="crm")
    def read(number: int, session: OAuthSession) -> list[str]:
        tokens = set()
        while len(tokens) < 2:  # until the first one has ended, however fast the machine is
            answer = session.get("/page/airports", params={"page": 1, "per_page": 10})
            answer.raise_for_status()
            tokens.add(answer.request.headers["Authorization"])
        home = os.environ["AIRFLOW_HOME"]
        with open(os.path.join(home, "was_here"), "x") as file:
            file.write(tempfile.gettempdir())
        with open(os.path.join(tempfile.gettempdir(), "was_here"), "x"):
            pass
        return [socket.gethostname(), conf.get("core", "fernet_key"), " ".join(sorted(os.environ))]

    read.expand(number=[0, 1, 2, 3])

machines()
"""


@dataclass(frozen=True)
class Site:
    """The deployment, and the folders: of the machines' disks, and of the output that all share."""

    airflow: AirflowDeployment
    machines: Path
    lake: Path


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    """Tokens to be refreshed every two seconds, refresh tokens that can be used once, no grace."""
    with OAuthTestServer(token_lifetime=2.0, rotate=True, grace=0.0, latency=0.01) as server:
        server.policy = replace(server.policy, tolerance=600.0)
        yield server


@pytest.fixture(scope="module")
def site(
    server: OAuthTestServer, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Airflow whose executor gives each task a machine, and whose API server refreshes for all of them."""
    folder = tmp_path_factory.mktemp("machines")
    if not can_be_machines(folder):
        pytest.skip("'unshare --uts --mount' gives processes no host name and no mounts here")
    dags, lake, machines = folder / "dags", folder / "lake", folder / "pods"
    dags.mkdir()
    (dags / "machines.py").write_text(_DAG)
    (dags / "specs.py").write_text(LOADING)
    write_growing(dags, lake / "growing")
    write_limited(dags, lake / "limited")
    database = create_database(postgres_url, "machines")
    environment = {
        "AIRFLOW__CORE__EXECUTOR": "tests.celery.pods.PodExecutor",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TEST_PODS": str(machines),
        "AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker",
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": database,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
    }
    deployment = AirflowDeployment(
        folder / "airflow", dags, environment=environment, database=database
    )
    use_celery(deployment)
    with deployment:
        refresh_token = server.issue_refresh_token()
        deployment.add_connection("crm", server.connection(refresh_token=refresh_token))
        yield Site(deployment, machines, lake)


def hosts_of(site: Site, dag_id: str, run_id: str) -> set[str]:
    return {task["hostname"] for task in site.airflow.task_instances(dag_id, run_id)}


def test_one_rotating_grant_serves_machines_that_share_nothing(
    site: Site, server: OAuthTestServer
) -> None:
    run_id = site.airflow.trigger("machines")
    assert site.airflow.wait("machines", run_id) == "success"
    seen = [site.airflow.xcom("machines", run_id, "read", number) for number in range(4)]
    hosts = {host for host, _, _ in seen}
    assert len(hosts) == len(hosts_of(site, "machines", run_id)) == 4
    assert FERNET_KEY not in {key for _, key, _ in seen}
    for _, _, names in seen:
        assert not {"AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE"} & set(
            names.split()
        )
    for (
        host
    ) in hosts:  # what each wrote into Airflow's home and the temporary folder is on its own disk
        assert len(list((site.machines / host).rglob("was_here"))) == 2
    assert server.counters.refreshes > 1
    assert (server.counters.reuse_detected, server.counters.revoked_families) == (0, 0)


def test_machines_keep_one_budget_together(site: Site, server: OAuthTestServer) -> None:
    api, state = run_at_once(site.airflow, server.connection())
    assert state == "success"
    assert len(api.came) == limited.REGIONS * limited.PAGES
    assert api.most_in_any(limited.PERIOD) <= limited.BUDGET


@pytest.mark.full
def test_a_machine_goes_on_at_the_watermark_that_another_one_moved(
    site: Site, server: OAuthTestServer
) -> None:
    assert run_while_it_grows(site.airflow, server.connection()) == ["success", "failed", "success"]
    assert read_ids(site.lake / "growing" / "contacts") == list(range(1, 16))
    assert read_ids(site.lake / "growing" / "notes") == sorted([*range(1, 16)] * 3)


def test_no_machine_keeps_a_secret_or_a_store_on_its_disk(
    site: Site, server: OAuthTestServer
) -> None:
    tokens = [token for token in server.state.list_issued() if server.state.family(token)]
    hidden = [text.encode() for text in (server.client_secret, FERNET_KEY, *tokens)]
    assert len(hidden) > 4
    files = [path for path in site.machines.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if any(text in path.read_bytes() for text in hidden)] == []
    assert not {path.name for path in files} & {"budgets.db", "watermarks.db", "tokens.db"}
