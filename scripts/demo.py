"""The main job on an embedded default: real Airflow pulls an OAuth-protected API into files.

Everything runs on loopback and below ``.demo/``: an authorization server whose access tokens live five seconds and
whose refresh tokens can be used once, a paginated API with 28,000 airports behind it, and ``airflow standalone``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment, DeploymentFailed

ROOT = Path(__file__).resolve().parent.parent
SPECS = ROOT / "dag_specs"
TOKEN_LIFETIME = 5.0
# Slow enough that tokens expire while tasks are reading.
LATENCY = 0.05
# The last one exports what the others left in Airflow's own history, so it runs after them.
DAGS = (("demo_airports", "demo_decorated"), ("airflow_runs",))

_terminal = Console()
console = _terminal if _terminal.is_terminal else Console(width=150)


@dataclass(frozen=True)
class EndpointResult:
    """The figures of one endpoint, added up over its mapped tasks."""

    dag_id: str
    endpoint: str
    summaries: Sequence[Mapping[str, Any]]

    def total(self, name: str) -> Any:
        """The sum of one figure."""
        return sum(summary[name] for summary in self.summaries)

    @property
    def folder(self) -> str:
        """Where the files are, relative to the checkout; a mapped endpoint's tasks have sub-folders there."""
        path = Path(self.summaries[0]["files"][0]["path"]).parent
        return str((path.parent if len(self.summaries) > 1 else path).relative_to(ROOT))


def main() -> int:
    """Run the demo; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ui", action="store_true", help="leave Airflow running afterwards")
    parser.add_argument("--port", type=int, default=None, help="port of Airflow (a free one)")
    args = parser.parse_args()
    for ending in (signal.SIGINT, signal.SIGTERM):
        # Airflow's processes must be stopped whichever signal ends this one.
        signal.signal(ending, signal.default_int_handler)
    home = ROOT / ".demo"
    shutil.rmtree(home, ignore_errors=True)
    if not validate():
        return 1
    airflow = AirflowDeployment(home, SPECS, port=args.port)
    server = OAuthTestServer(token_lifetime=TOKEN_LIFETIME, rotate=True, latency=LATENCY)
    console.rule("2. Start an authorization server, an API and Airflow")
    console.print("Airflow creates its database first, which may take some minutes …")
    try:
        with server, airflow:
            return run(airflow, server, stay=args.ui)
    except DeploymentFailed as error:
        console.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        return 0


def validate() -> bool:
    """Check the specs as CI does."""
    console.rule("1. Validate the specs")
    command = [sys.executable, str(ROOT / "scripts" / "validate_specs.py"), str(SPECS)]
    return subprocess.run(command, check=False).returncode == 0


def run(airflow: AirflowDeployment, server: OAuthTestServer, *, stay: bool) -> int:
    """Everything that needs the two servers."""
    console.print(f"API and token endpoint: {server.base_url}, tokens live {TOKEN_LIFETIME:.0f} s")
    console.print(f"Airflow:                {airflow.url}")
    airflow.add_connection(
        "demo_api", server.connection(refresh_token=server.issue_refresh_token())
    )
    airflow.add_connection("airflow_api", own_api(airflow))
    console.rule("3. Run the DAGs")
    began = time.monotonic()
    runs: dict[str, str] = {}
    states: list[str] = []
    for together in DAGS:
        runs |= (started := {dag_id: airflow.trigger(dag_id) for dag_id in together})
        for dag_id, run_id in started.items():
            states.append(airflow.wait(dag_id, run_id))
            colour = "green" if states[-1] == "success" else "red"
            console.print(f"{dag_id}: [{colour}]{states[-1]}[/]")
    console.rule("4. What was pulled")
    console.print(
        results_table([r for d, run_id in runs.items() for r in results(airflow, d, run_id)])
    )
    print_tokens(server, time.monotonic() - began)
    if stay:
        wait_for_user(airflow)
    healthy = server.counters.reuse_detected == 0
    return 0 if healthy and set(states) == {"success"} else 1


def own_api(airflow: AirflowDeployment) -> dict[str, Any]:
    """A connection to Airflow's own REST API: one login request, then its token."""
    return {
        "conn_type": "oauth2",
        "host": airflow.url,
        "login": "admin",
        "password": airflow.password,
        "extra": {"auth_type": "session"},
    }


def results(airflow: AirflowDeployment, dag_id: str, run_id: str) -> list[EndpointResult]:
    """The summaries that the endpoint tasks of a run returned."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for instance in airflow.task_instances(dag_id, run_id):
        if instance["operator_name"] == "EndpointOperator" and instance["state"] == "success":
            task_id, index = instance["task_id"], instance["map_index"]
            found.setdefault(task_id, []).append(airflow.xcom(dag_id, run_id, task_id, index))
    return [EndpointResult(dag_id, name, summaries) for name, summaries in found.items()]


def results_table(rows: Sequence[EndpointResult]) -> Table:
    """One line per endpoint."""
    titles = ("endpoint", "tasks", "rows", "pages", "bytes", "seconds", "token refreshes", "files")
    table = Table(*titles)
    for column in table.columns[1:7]:
        column.justify = "right"
    for row in rows:
        table.add_row(
            f"{row.dag_id}/{row.endpoint}",
            str(len(row.summaries)),
            f"{row.total('rows'):,}",
            f"{row.total('pages'):,}",
            f"{row.total('bytes'):,}",
            f"{row.total('seconds'):.1f}",
            str(row.total("token_refreshes")),
            row.folder,
        )
    return table


def print_tokens(server: OAuthTestServer, seconds: float) -> None:
    """Print the counters of the authorization server."""
    seen = server.counters
    console.print(
        f"\nThe authorization server gave out {seen.refreshes} tokens in {seconds:.0f} s "
        f"(each lives {TOKEN_LIFETIME:.0f} s), saw {seen.reuse_detected} reused refresh tokens "
        f"and revoked {seen.revoked_families} grants."
    )


def wait_for_user(airflow: AirflowDeployment) -> None:
    """Keep the servers up until Ctrl-C."""
    console.rule("5. Look around")
    console.print(f"Open {airflow.url} and log in as [b]admin[/] with [b]{airflow.password}[/].")
    console.print("The DAGs are demo_airports, demo_decorated and airflow_runs; Ctrl-C ends all.")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
