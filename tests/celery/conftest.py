"""One deployment for all tests of this folder: Airflow with CeleryExecutor, Redis, PostgreSQL and isolated workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import Asked, ScriptedApi, scripted
from tests.celery.parts import (
    can_be_machines,
    isolate_environment,
    redis,
    use_celery,
    wait_until_ready,
    worker,
)

# Queue of a worker -> the name of its machine; the rooted ones have a destination_root, which both share.
MACHINES = {"one": "one", "two": "two", "rooted_one": "three", "rooted_two": "four"}
CONTACTS = 4
_SPEC = """\
version: 1
dag_id: %s
connection: notes
defaults:
  records: data
  destination: {path: "%s/{{ endpoint }}"}
default_args: {retries: 0, queue: %s}
endpoints:
  contacts: {request: {path: /contacts}}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 2}}
    request: {path: "/notes/{{ contact.id }}"}
    task: {queue: %s}
"""


@dataclass(frozen=True)
class Cluster:
    """The parts that tests look at. Each worker has Airflow's home at ``folder / "home"``, and its disk is
    ``folder`` / the name of its machine.
    """

    folder: Path
    airflow: AirflowDeployment
    server: OAuthTestServer


def require_programs(folder: Path) -> None:
    """Skip the test, with a reason, where the programs of a deployment are missing; fail it in CI."""
    if missing := _missing(folder):
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        print(f"skipped: {missing}", file=sys.stderr)
        pytest.skip(missing)


def _missing(folder: Path) -> str | None:
    if shutil.which("redis-server") is None:
        return "Redis is not installed (Debian: apt-get install redis-server)"
    if not can_be_machines(folder):
        return (
            "'unshare --uts --mount' gives processes no host name and no mounts of their own here"
        )
    return None


def _write_dags(folder: Path) -> Path:
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(Path(__file__).with_name("dags.py"), dags)
    specs = {
        "relative": ("lake", "one", "two"),
        "shared": (str(folder / "shared"), "one", "two"),
        "rooted": ("pool", "rooted_one", "rooted_two"),
    }
    for name, values in specs.items():
        (dags / f"{name}.yaml").write_text(_SPEC % (name, *values))
    return dags


def _api() -> contextlib.AbstractContextManager[ScriptedApi]:
    def answer(asked: Asked) -> object:
        name = asked.path.rpartition("/")[2]
        if name == "contacts":
            return {"data": [{"id": number} for number in range(CONTACTS)]}
        return {"data": [{"note": int(name)}]}

    return scripted(answer)


@pytest.fixture(scope="module")
def cluster(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The running deployment; skipped with a reason where its programs are missing, but never in CI."""
    folder = tmp_path_factory.mktemp("celery")
    require_programs(folder)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(OAuthTestServer(token_lifetime=3))
        server.policy = replace(server.policy, tolerance=600.0)
        api = stack.enter_context(_api())
        environment = {
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # no file changes
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-isolated-workers-of-these-tests-and-nothing-else-at-all-0001",
            "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": postgres_url,
            **stack.enter_context(redis(folder)),
        }
        airflow = AirflowDeployment(
            folder / "airflow", _write_dags(folder), environment=environment, parallelism=4
        )
        use_celery(airflow)
        stack.callback(airflow.stop)
        airflow.start()
        airflow.add_connection("crm", server.connection(refresh_token=server.issue_refresh_token()))
        keyless = {"conn_type": "oauth2", "host": api.url, "extra": {"auth_type": "none"}}
        airflow.add_connection("notes", keyless)
        (folder / "home").mkdir()
        for queue, host in MACHINES.items():
            disk = folder / host
            shutil.copytree(folder / "dags", disk / "dags")
            own = isolate_environment(airflow, folder / "home")
            if queue.startswith("rooted"):
                own["AIRFLOW__OAUTH_TASKFLOW__DESTINATION_ROOT"] = str(folder / "root")
            log = folder / f"{host}.log"
            stack.enter_context(worker(own, log, host=host, disk=disk, queues=queue))
        for host in MACHINES.values():
            wait_until_ready(folder / f"{host}.log", folder / host)
        yield Cluster(folder, airflow, server)
