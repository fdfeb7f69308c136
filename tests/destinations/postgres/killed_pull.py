"""A pull into a table, in a separate process that may be killed: ``python -m tests.destinations.postgres.killed_pull DATABASE SCHEMA KIND API [STEP]``.

Each statement, each piece of a COPY and each end of a transaction is two steps: before it and after it. At step STEP the process dies. Without
it, the number of steps is printed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
from psycopg.transaction import Transaction

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.postgres import staging
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.python_function import FunctionWriter, PythonDestination
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.pull.styles import STYLES
from tests.destinations.postgres.tables import Warehouse
from tests.engine.cut_off import SEAL
from tests.support.auth import bearer_auth

ROOT = Path(__file__).resolve().parents[3]
KINDS: dict[str, dict[str, Any]] = {
    "raw": {},
    "columns": {"layout": "columns"},
    "merge": {"mode": "merge"},
    "append": {"mode": "append", "layout": "columns"},
}
# The table of this one is loaded by an author's function.
FUNCTION = "function"
STEPS: list[tuple[type[Any], str]] = [
    (psycopg.Connection, "execute"),
    (psycopg.Copy, "write"),
    (Transaction, "__exit__"),
    (FunctionWriter, "write"),
    (FunctionWriter, "commit"),
    (psycopg.Connection, "commit"),
]


def pull(database: str, schema: str, kind: str, api: str) -> EndpointSummary:
    """Pulls everything from the API into the table ``rows``, keeping progress after each page."""
    endpoint = Endpoint(
        request=Request(path="/rows/ann"),
        records="items",
        primary_key="id",
        paginate=STYLES["cursor"](),
        destination=_choose_destination(database, schema, kind),
    )
    run = EndpointRun(
        name="rows",
        endpoint=endpoint,
        run_id="r",
        template_context={"dag_id": "crm", "endpoint": "rows"},
        interval=Interval(None, datetime(2026, 1, 4, tzinfo=timezone.utc)),
        access=Warehouse(database, schema).access,
        resume=ResumeOptions(SEAL, keep_every=0.0),
    )
    with OAuthSession(api, bearer_auth("t"), retry=RetryPolicy(attempts=1)) as session:
        return run_endpoint(run, session)


def _choose_destination(
    database: str, schema: str, kind: str
) -> PostgresDestination | PythonDestination:
    table = f"{schema}.rows"
    if kind != FUNCTION:
        return PostgresDestination(conn_id="warehouse", table=table, **KINDS[kind])
    options = {"url": database.replace("+psycopg", ""), "table": table}
    function = "tests.destinations.functions.sinks.load_postgres"
    return PythonDestination(function=function, size=3, options=options)


def pull_in_process(*arguments: str) -> tuple[int, str]:
    """Pulls in another process; returns its exit status, that of a kill is negative, and what it printed."""
    command = [sys.executable, "-m", "tests.destinations.postgres.killed_pull", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def _count_steps(die_at: int) -> list[int]:
    steps = [0]

    def step() -> None:
        steps[0] += 1
        if steps[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            result = real(*args, **kwargs)
            step()
            return result

        return call

    for owner, name in STEPS:
        setattr(owner, name, deadly(getattr(owner, name)))
    return steps


if __name__ == "__main__":
    *_wanted, _step = sys.argv[1:]
    staging._BACKGROUND_BYTES = (
        150  # some pages go in the background, the others when progress is kept
    )
    _steps = _count_steps(int(_step))
    pull(*_wanted)
    print(_steps[0])
