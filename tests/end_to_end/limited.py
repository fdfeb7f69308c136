"""An API that counts requests, read by many mapped tasks of one spec at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import Asked, scripted
from tests.budgets.crowd import CountingApi

WITHOUT_LOGIN: Mapping[str, Any] = {"conn_type": "oauth2", "extra": {"auth_type": "none"}}
REGIONS, PAGES, BUDGET, PERIOD = 8, 3, 5, 2.0
SPEC = """\
version: 1
dag_id: limited
schedule: null
connection: limited
rate_limit:
  - {{requests: 5, per: PT2S}}
  - {{requests: 100, per: P1D}}
defaults: {{records: data, destination: {{path: "{folder}/{{{{ endpoint }}}}"}}}}
endpoints:
  notes:
    for_each: {{region: [1, 2, 3, 4, 5, 6, 7, 8]}}
    request: {{path: "/{{{{ region }}}}"}}
    paginate: {{type: cursor, next: next, param: at}}
"""


class Limited(CountingApi):
    """Three pages of one record for each region."""

    def __call__(self, asked: Asked) -> object:
        super().__call__(asked)
        at = int(asked.query.get("at", 0))
        following = {"next": str(at + 1)} if at + 1 < PAGES else {}
        return {"data": [{"id": int(asked.path[1:]) * 10 + at}], **following}


def write_limited(dags: Path, lake: Path) -> None:
    """Writes the spec, whose output goes below ``lake``."""
    (dags / "limited.yaml").write_text(SPEC.format(folder=lake))


def run_at_once(
    airflow: AirflowDeployment, connection: Mapping[str, Any] = WITHOUT_LOGIN
) -> tuple[Limited, str]:
    """Runs the DAG once, with ``connection`` to the API; the API that it read, and the state of the run."""
    api = Limited()
    with scripted(api) as server:
        airflow.add_connection("limited", {**connection, "host": server.url})
        return api, airflow.wait("limited", airflow.trigger("limited"))
