"""A DAG whose mapped tasks spend the budget of one connection in broker mode; one of them is killed, and one is hostile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import scripted
from tests.budgets.crowd import CountingApi

BUDGET, PERIOD, TASKS, REQUESTS = 5, 2.0, 4, 6
# The task that is killed after that many requests sends all of them at its second try.
BEFORE_THE_KILL = 2
DAG = """\
import os, signal
from airflow.sdk import dag, get_current_context, task
from oauth_taskflow import OAuthSession, oauth_task
from oauth_taskflow.errors import ConnectionConfigError

@dag(schedule=None)
def asking():
    @oauth_task(conn_id="asked", retries=2, retry_delay=1)
    def spend(number: int, session: OAuthSession) -> int:
        dies = number == 0 and get_current_context()["ti"].try_number == 1
        for done in range(6):
            if dies and done == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            session.get("/", params={"worker": number}).raise_for_status()
        return number

    @task
    def hostile() -> list[str]:
        from oauth_taskflow.budgets.ledger import Window
        from oauth_taskflow.budgets.slots import Ask, Charge
        from oauth_taskflow.taskflow.broker.budget_wire import write_ask
        from oauth_taskflow.taskflow.broker.channel import ask_about
        from oauth_taskflow.taskflow.connection_lookup import load_settings
        from oauth_taskflow.taskflow.sessions import budgets_of

        window = budgets_of(load_settings("asked")).find_gate("/").charges[0].window
        hold = Ask((Charge(window),), "evil", 256, hold=(frozenset({window.key}), 1e6))
        seen = [ask_about("crm", "budget", write_ask(hold, turn=1, slack=0.1)) and "answered"]
        for conn_id in ("missing", "crm'; DROP"):
            try:
                ask_about(conn_id, "budget", write_ask(hold, turn=2, slack=0.1))
            except ConnectionConfigError as error:
                seen.append(type(error).__name__)
        return seen

    hostile() >> spend.expand(number=[0, 1, 2, 3])

asking()
"""


def write_asking(dags: Path) -> None:
    """Writes the DAG."""
    (dags / "asking.py").write_text(DAG)


def spend_at_once(
    airflow: AirflowDeployment, connection: Mapping[str, Any]
) -> tuple[CountingApi, str, str]:
    """Runs the DAG once, with ``connection`` to its API; the API, the run's id and its state."""
    api = CountingApi()
    with scripted(api) as server:
        extra = {**connection["extra"], "rate_limit": {"requests": BUDGET, "per": "PT2S"}}
        airflow.add_connection("asked", {**connection, "host": server.url, "extra": extra})
        run_id = airflow.trigger("asking")
        return api, run_id, airflow.wait("asking", run_id)
