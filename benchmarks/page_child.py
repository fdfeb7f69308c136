"""Fills an Airflow of its own, configured by the variables of ``page.py``, and measures the list of the page OAuth in it."""

from __future__ import annotations

import gc
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import command_line, environment_line, table, verdict

warnings.simplefilter("ignore")  # what Airflow's dependencies warn of among themselves
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from airflow.api_fastapi.app import get_auth_manager, init_auth_manager, lifespan  # noqa: E402
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser  # noqa: E402
from airflow.models import Connection  # noqa: E402
from airflow.models.dag import DagModel  # noqa: E402
from airflow.models.dagbundle import DagBundleModel  # noqa: E402
from airflow.models.serialized_dag import SerializedDagModel  # noqa: E402
from airflow.sdk import DAG  # noqa: E402
from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: E402
from airflow.utils.db import initdb  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from oauth_taskflow import OAuth2HttpOperator  # noqa: E402
from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: E402
from oauth_taskflow.taskflow.page.app import PREPARATION, build_app  # noqa: E402
from oauth_taskflow.tokens.registry import open_store  # noqa: E402
from tests.browser import grants  # noqa: E402

_GOAL_MS = 300.0
_PAGES, _PERIOD = 50, 5
_ANEW = {"Cache-Control": "no-cache"}


def fill_connections(count: int) -> None:
    """Stores ``count`` connections in the metadata database."""
    providers = ("hubspot", "xero", "slack", "salesforce", "")
    with create_session() as session:
        for number in range(count):
            extra = {"grant_type": "authorization_code", "provider": providers[number % 5]}
            session.add(
                Connection(  # noqa: AIR311 - the ORM's
                    conn_id=f"crm_{number:04}",
                    conn_type="oauth2",
                    host="https://api.example.com",
                    login="client",
                    password=f"secret-{number}",
                    extra=extra,
                )
            )


def fill_grants(connections: int, count: int) -> None:
    """Stores ``count`` grants, so many for each connection."""
    store = open_store(store_url(), fernet_keys())
    for number in range(count):
        grants.put(store, f"crm_{number % connections:04}", number)


def fill_dags(count: int, connections: int) -> None:
    """Stores ``count`` serialised DAGs of five tasks each, every task with a connection."""
    with create_session() as session:
        session.add(DagBundleModel(name="benchmark"))

    for number in range(count):
        with DAG(f"dag_{number:04}", schedule=None) as dag:
            for task in range(5):
                conn_id = f"crm_{(number * 5 + task) % connections:04}"
                OAuth2HttpOperator(task_id=f"pull_{task}", http_conn_id=conn_id)
        with create_session() as session:
            session.add(
                DagModel(  # type: ignore[no-untyped-call]  # Airflow's
                    dag_id=dag.dag_id, bundle_name="benchmark", is_stale=False, fileloc="x.py"
                )
            )
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="benchmark")


def open_client() -> Any:
    """A client that is logged in as admin, of a server that has started as Airflow's does."""
    root = FastAPI(lifespan=lifespan)
    init_auth_manager(root)
    root.mount("/oauth", build_app())
    manager: Any = get_auth_manager()
    client = TestClient(root)
    client.__enter__()  # the server runs until the process ends
    for thread in threading.enumerate():
        if thread.name == PREPARATION:
            thread.join()
    user = SimpleAuthManagerUser(username="admin", role="ADMIN")
    client.cookies.set("_token", manager.generate_jwt(user))
    return client


def ask(client: Any, **headers: str) -> Any:
    """The answer of the list."""
    answer = client.get("/oauth/api/connections", headers=headers)
    assert answer.status_code in {200, 304}, answer.text
    return answer


def measure(work: Callable[[], object], rounds: int) -> list[str]:
    """Median milliseconds of ``rounds`` calls, by the clock and of the processor, and the longest.

    Python's garbage collector runs before the clock starts: it owes that to the filling of the tables.
    """
    gc.collect()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    figures = (statistics.median(walls), max(walls), statistics.median(cpus))
    return [f"{figure:.0f}" for figure in figures]


def serve_open_pages(client: Any, seconds: int, **headers: str) -> list[str]:
    """Requests and CPU seconds of a minute in which fifty pages ask every five seconds, measured for ``seconds``."""
    tag, count = ask(client).headers["etag"], seconds * _PAGES // _PERIOD
    start, cpu = time.monotonic(), time.process_time()
    for number in range(count):
        time.sleep(max(0.0, start + number * _PERIOD / _PAGES - time.monotonic()))
        tag = ask(client, **{"If-None-Match": tag}, **headers).headers["etag"]
    spent, minutes = time.process_time() - cpu, seconds / 60
    return [f"{count / minutes:.0f}", f"{spent / minutes:.1f}"]


def compare(given: Any) -> None:
    """Prints the table and the verdict."""
    client = open_client()
    first = measure(lambda: ask(client), 1)
    deadline = time.monotonic() + 60
    while not ask(client).json()["uses_are_known"] and time.monotonic() < deadline:
        time.sleep(0.1)
    answer = ask(client)
    body = answer.json()
    later = measure(lambda: ask(client, **_ANEW), given.rounds)
    tag = answer.headers["etag"]
    same = measure(lambda: ask(client, **{"If-None-Match": tag}, **_ANEW), given.rounds)
    shared = measure(lambda: ask(client), given.rounds)
    store = open_store(store_url(), fernet_keys())
    keys = [key for _, key in store.list_grants()]
    each = measure(lambda: [store.read(key) for key in keys], 1)
    users = sum(len(row["used_by"]) for row in body["connections"])
    rows = [
        ["first answer of a process", *first],
        ["later answers", *later],
        ["nothing has changed (304)", *same],
        ["later answers, the reading of another page", *shared],
        ["reading each grant by itself", *each],
    ]
    print(environment_line({}))
    print(
        f"{len(body['connections'])} connections, {len(keys)} grants, {users} uses in DAGs, {len(answer.content) // 1024} KiB\n"
    )
    print(table(["", "median ms", "longest ms", "CPU ms"], rows))
    print()
    pages = [
        ["each reads for itself", *serve_open_pages(client, given.seconds, **_ANEW)],
        ["a reading is shared for two seconds", *serve_open_pages(client, given.seconds)],
    ]
    print(table([f"{_PAGES} open pages, a minute", "requests", "CPU s"], pages))
    print()
    print(verdict("later answers, ms", float(later[0]), _GOAL_MS, lambda value: f"{value:.0f}"))


def main() -> None:
    """Runs the comparison."""
    given = command_line(__doc__, connections=500, grants=2000, dags=200, rounds=20, seconds=20)
    initdb()
    fill_connections(given.connections)
    fill_grants(given.connections, given.grants)
    fill_dags(given.dags, given.connections)
    compare(given)


if __name__ == "__main__":
    main()
