"""An API that grows between the runs of a DAG without a schedule, read by stored watermarks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.api.scripted import Asked, scripted
from tests.end_to_end.limited import WITHOUT_LOGIN

REGIONS = ("eu", "us", "asia")
SPEC = """\
version: 1
dag_id: growing
schedule: null
connection: growing
default_args: {{retries: 3, retry_delay: PT1S}}
defaults: {{records: data, destination: {{path: "{folder}/{{{{ endpoint }}}}"}}}}
endpoints:
  contacts:
    request: {{path: /contacts, params: {{since: "{{{{ window.start }}}}"}}}}
    incremental: {{by: watermark, field: at, start: 2026-01-01}}
  notes:
    for_each: {{region: [eu, us, asia]}}
    request: {{path: "/notes/{{{{ region }}}}", params: {{above: "{{{{ watermark.value | default(0) }}}}"}}}}
    incremental: {{by: watermark, field: id}}
"""


class Growing:
    """Records 1 to ``count``; the region ``broken`` answers with an error."""

    count = 0
    broken = ""

    def __call__(self, asked: Asked) -> Any:
        rows = [{"id": n, "at": f"2026-01-01T00:{n:02d}:00Z"} for n in range(1, self.count + 1)]
        if asked.path == "/contacts":
            return {"data": [row for row in rows if str(row["at"]) >= asked.query["since"]]}
        if self.broken and asked.path.endswith(self.broken):
            return {"data": [{"id": "no number"}, {"id": 1}]}
        return {"data": rows[int(asked.query["above"]) :]}


def write_growing(dags: Path, lake: Path) -> None:
    """Writes the spec, whose output goes below ``lake``."""
    (dags / "growing.yaml").write_text(SPEC.format(folder=lake))


def read_ids(folder: Path) -> list[int]:
    """The ids in the committed output of all runs, sorted."""
    parts = [
        path for path in folder.rglob("part-*.jsonl") if (path.parent / "_manifest.json").exists()
    ]
    return sorted(
        json.loads(line)["id"] for part in parts for line in part.read_text().splitlines()
    )


def run_while_it_grows(
    airflow: AirflowDeployment, connection: Mapping[str, Any] = WITHOUT_LOGIN
) -> list[str]:
    """Runs the DAG three times, with a region that fails in the second run; the states of the runs."""
    api, states = Growing(), []
    with scripted(api) as server:
        airflow.add_connection("growing", {**connection, "host": server.url})
        for broken in ("", "us", ""):
            api.count, api.broken = api.count + 5, broken
            states.append(airflow.wait("growing", airflow.trigger("growing")))
    return states


def read_mirror(airflow: AirflowDeployment, asset: str) -> Any:
    """The watermark as Airflow's asset state store shows it."""
    found = airflow.call("GET", f"/assets?name_pattern={asset}")["assets"]
    entries = airflow.call("GET", f"/assets/{found[0]['id']}/state-store")["asset_state_store"]
    return {entry["key"]: entry["value"] for entry in entries}["watermark"]
