"""Maintenance DAGs of a connection whose grant has ended, and of all grants; their notifier writes into a file."""

from __future__ import annotations

from pathlib import Path

from oauth_taskflow.testing.airflow_deployment import AirflowDeployment

_DAGS = """\
from oauth_taskflow import load_maintenance  # airflow dag


def write(context):
    with open({notices!r}, "a") as file:
        file.write(context["dag"].dag_id + " " + context["notice"].text.replace("\\n", " ") + "\\n")


options = {{"notifiers": [write], "schedule": None, "is_paused_upon_creation": False}}
load_maintenance(globals(), ["ended"], **options)
load_maintenance(globals(), dag_id="all_grants", **options)
"""


def write_maintained(dags: Path, notices: Path) -> None:
    """Writes the DAGs, whose notices become lines of ``notices``."""
    (dags / "maintenance.py").write_text(_DAGS.format(notices=str(notices)))


def run_maintenance(airflow: AirflowDeployment) -> str:
    """Runs the DAG of the connection twice, then that of all grants, whose run id it returns."""
    for dag_id in ("oauth_maintenance", "oauth_maintenance", "all_grants"):
        run_id = airflow.trigger(dag_id)
        assert airflow.wait(dag_id, run_id) == "success"
    return run_id


def read_notices(notices: Path, conn_id: str) -> list[tuple[str, str]]:
    """The DAG and the text of each notice that names the page of ``conn_id``."""
    lines = [line.partition(" ") for line in notices.read_text().splitlines()]
    return [(dag_id, text) for dag_id, _, text in lines if f"/oauth/connect/{conn_id}" in text]
