"""The cost of a task's first authenticated request in real Airflow, compared with a hand-written task and HttpHook.

Usage: .venv/bin/python benchmarks/cold_start.py [--runs 10] [--executor local|celery] [--store sqlite|postgresql]

``airflow standalone`` runs one small DAG per kind of task. The executor forks a process for each task; its processor
time counts from the fork: Airflow's start, the parsing of the DAG file, the imports, the Connection, the token (which
the store already holds), one request to a server on loopback. A second table has the imports alone in a fresh
interpreter, as a Kubernetes pod starts with. ``--executor celery`` also runs a Celery worker with a pool of one process,
in a separate environment and on a private Redis server (Debian: ``redis-server``). PostgreSQL is started if it is the
store.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from cryptography.fernet import Fernet
from measure import (
    HERE,
    Candidate,
    alternate,
    command_line,
    environment_line,
    table,
    verdict,
)
from peers import OURS, peer

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment

KINDS = {
    "plain": "@task that does nothing",
    "handwritten": "@task with requests and a token that never changes",
    "http_hook": "@task with Airflow's HttpHook, the same token",
    "oauth_task": "@oauth_task, token from the store",
}
TARGET = 30.0


def measure(
    folder: Path, runs: int, *, executor: str, store: str
) -> dict[str, list[dict[str, float]]]:
    """The figures of every run, by kind; the first run of each, which fills caches, is dropped."""
    sys.path.insert(0, str(HERE.parent))
    from tests.celery.parts import redis, use_celery, worker  # noqa: PLC0415 - not on the path before

    figures = folder / "figures"
    figures.mkdir()
    with OAuthTestServer() as server, contextlib.ExitStack() as stack:
        environment = {
            "COLD_START_FIGURES": str(figures),
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            **_bytecode(folder),
        }
        if store == "postgresql":
            url = stack.enter_context(postgresql())
            environment["AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE"] = url
        if executor == "celery":
            environment |= stack.enter_context(redis(folder)) | {
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1"
            }
        airflow = AirflowDeployment(
            folder / "airflow",
            HERE / "cold_start_dags",
            environment=environment,
            parallelism=1,
        )
        if executor == "celery":
            use_celery(airflow)
        with airflow:
            if executor == "celery":
                log = airflow.home / "worker.log"
                stack.enter_context(worker(airflow.environment, log))
            airflow.add_connection("oauth", server.connection())
            airflow.add_connection("static", _static(server))
            for _ in range(runs + 1):
                for kind in KINDS:
                    run_id = airflow.trigger(kind)
                    if airflow.wait(kind, run_id) != "success":
                        raise SystemExit(f"the task {kind} failed; see {airflow.home}")
    return {kind: _read(figures / f"{kind}.jsonl")[1:] for kind in KINDS}


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that is started for this run."""
    from tests.postgres import PostgresServer, postgres_programs  # noqa: PLC0415 - only for this store

    programs = postgres_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(programs)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def in_celery_environment() -> bool:
    """Whether this interpreter has Celery; else the benchmark runs once more in an environment that has."""
    return importlib.util.find_spec("airflow.providers.celery") is not None


def _static(server: OAuthTestServer) -> dict[str, object]:
    token = server.issue_access_token()
    return {
        "conn_type": "http",
        "host": server.base_url,
        "extra": json.dumps({"Authorization": f"Bearer {token}"}),
    }


def _read(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def median(runs: Sequence[dict[str, float]], key: str) -> float:
    """The median of one figure, in milliseconds."""
    return statistics.median(run[key] for run in runs) * 1000


def _bytecode(folder: Path) -> dict[str, str]:
    """Environment in which everything loads from bytecode, as installed packages do; the first run writes it."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def fresh(folder: Path, runs: int) -> list[Candidate]:
    """The imports of each kind of task, timed in interpreters that Airflow did not fork."""
    rows = [
        Candidate(KINDS[kind], OURS, "cold_start_child.py", [kind], _bytecode(folder))
        for kind in KINDS
        if kind != "plain"
    ]
    alternate(rows, runs)
    return rows


def main() -> None:
    options = command_line(__doc__, runs=10, executor="local", store="sqlite")
    if options.executor == "celery" and not in_celery_environment():
        python = peer(
            "celery", "-c", str(HERE.parent / "requirements.lock"), "-e", f"{HERE.parent}[testing]"
        )
        raise SystemExit(subprocess.call([python, *sys.argv]))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.runs, executor=options.executor, store=options.store)
        unforked = fresh(Path(folder), options.runs)
    packages = ("oauth-taskflow", "apache-airflow", "apache-airflow-providers-http", "requests")
    print(environment_line({name: version(name) for name in packages}))
    print(
        f"Processor time of a task's process in ms; {options.executor} executor, {options.store} store, "
        f"median of {options.runs} alternating runs\n"
    )
    plain = median(found["plain"], "answered")
    rows = []
    for kind, name in KINDS.items():
        total, imports = (median(found[kind], key) for key in ("answered", "imported"))
        rows.append([name, f"{total:.0f}", f"{total - plain:+.0f}", f"{imports:.0f}"])
    print(table(["task", "whole", "above an empty task", "until its imports are done"], rows))
    print()
    ours = median(found["oauth_task"], "answered")
    for kind in ("plain", "handwritten", "http_hook"):
        above = ours - median(found[kind], "answered")
        print(verdict(f"above {KINDS[kind]}", above, TARGET, lambda ms: f"{ms:.0f} ms"))
    print("\nImports in a fresh interpreter, in ms of processor time\n")
    lines = [[row.name, f"{(row.median('imports') or 0.0) * 1000:.0f}"] for row in unforked]
    print(table(["task", "imports"], lines))


if __name__ == "__main__":
    main()
