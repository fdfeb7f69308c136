"""Airflow with CeleryExecutor and two isolated workers, run by the interpreter of an environment that has Celery.

Argument: a folder. Prints one JSON mapping: what the tasks returned and what the authorization server counted.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.deployment import AirflowDeployment
from tests.celery import redis, use_celery, worker
from tests.postgres import PostgresServer, postgres_programs

_DAG = "celery_airports"
_MINE = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__DAGS_FOLDER")


def isolated(airflow: AirflowDeployment, home: Path, dags: Path) -> dict[str, str]:
    """The environment of a worker on another machine: a home and DAGs of its own, and no metadata database."""
    home.mkdir()
    shutil.copytree(dags, home / "dags")
    kept = {name: value for name, value in airflow.environment.items() if name not in _MINE}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/nothing.db",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    }


def run(folder: Path, store_url: str) -> dict[str, object]:
    """What came of one run of eight tasks on two workers."""
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(Path(__file__).with_name("celery_dags.py"), dags)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(OAuthTestServer(token_lifetime=3))
        environment = {
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-two-isolated-workers-of-one-test-and-nothing-else-at-all-0001",
            "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": store_url,
            **stack.enter_context(redis(folder)),
        }
        airflow = AirflowDeployment(
            folder / "airflow", dags, environment=environment, parallelism=4
        )
        use_celery(airflow)
        stack.callback(airflow.stop)
        airflow.start(
            timeout=900.0
        )  # beside other programs it may take long, and that is no matter of this test
        airflow.add_connection("crm", server.connection(refresh_token=server.issue_refresh_token()))
        for name in ("one", "two"):
            home = folder / name
            stack.enter_context(worker(isolated(airflow, home, dags), folder / f"{name}.log", name))
        run_id = airflow.trigger(_DAG)
        state = airflow.wait(_DAG, run_id, timeout=900.0)
        instances = airflow.task_instances(_DAG, run_id)
        states = [instance["state"] for instance in instances]
        if state != "success":
            return {"state": state, "returned": states, "counters": asdict(server.counters)}
        returned = [airflow.xcom(_DAG, run_id, "read", number) for number in range(8)]
        return {"state": state, "returned": returned, "counters": asdict(server.counters)}


def main() -> None:
    programs = postgres_programs()
    assert programs is not None
    postgres = PostgresServer(programs)
    postgres.start()
    try:
        print(json.dumps(run(Path(sys.argv[1]), postgres.url)))
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
