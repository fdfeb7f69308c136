"""The notifier in a whole Airflow, awaited by its real triggerer for a deadline that a run misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.support.grants import kill_grants

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.full]

ALERTS = """\
import os


def write(context):
    with open(os.environ["NOTICES"], "a") as file:
        run = context["dag_run"]["dag_id"]
        file.write(run + " " + context["notice"].text.replace("\\n", " ") + "\\n")
"""
DAGS = """\
import os
import time
from datetime import timedelta

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, task

from oauth_taskflow import OAuthNotifier

late = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=1),
    callback=AsyncCallback(OAuthNotifier, kwargs={"notifiers": ["alerts.write"], "connections": ["crm"]}),
)
with DAG("pulls", schedule=None, deadline=late):

    @task(execution_timeout=timedelta(minutes=5))
    def wait_for_the_notice():
        while not os.path.exists(os.environ["NOTICES"]):
            time.sleep(0.5)

    wait_for_the_notice()
"""
_PATIENCE = 300.0


BROKER = "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"


@pytest.mark.parametrize(
    "backend", [pytest.param("", id="store"), pytest.param(BROKER, id="broker")]
)
def test_a_missed_deadline_sends_one_notice_from_the_triggerer(
    tmp_path: Path, oauth_server: OAuthTestServer, backend: str
) -> None:
    seed = oauth_server.issue_refresh_token()
    kill_grants(oauth_server)
    notices = tmp_path / "notices"
    for folder, name, text in (("dags", "pulls.py", DAGS), ("modules", "alerts.py", ALERTS)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    environment = {
        "NOTICES": str(notices),
        "PYTHONPATH": str(tmp_path / "modules"),
        "AIRFLOW__SECRETS__BACKEND": backend,
    }
    airflow = AirflowDeployment(tmp_path / "home", tmp_path / "dags", environment=environment)
    with airflow:
        airflow.add_connection("crm", oauth_server.connection(refresh_token=seed))
        airflow.wait_for_dag("pulls")
        run_id = airflow.trigger("pulls")
        assert airflow.wait("pulls", run_id, _PATIENCE) == "success"
    (line,) = notices.read_text().splitlines()
    assert line.startswith("pulls ")
    assert f"{airflow.url}/plugin/oauth/connect/crm" in line
    assert oauth_server.counters.token_requests == 1
