"""The maintenance DAG in a whole Airflow in broker mode: parsed, scheduled, mapped, and one notice for each DAG."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.support.grants import kill_grants

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

DAGS = """\
import os

from oauth_taskflow import load_maintenance  # airflow dag


def write(context):
    with open(os.environ["NOTICES"], "a") as file:
        file.write(context["dag"].dag_id + " " + context["notice"].text.replace("\\n", " ") + "\\n")


load_maintenance(globals(), ["crm"], notifiers=[write], schedule=None, is_paused_upon_creation=False)
load_maintenance(globals(), dag_id="all_grants", notifiers=[write], schedule=None, is_paused_upon_creation=False)
"""


def test_people_get_one_notice_of_each_dag_from_tasks_that_never_see_the_grant(
    tmp_path: Path, oauth_server: OAuthTestServer
) -> None:
    seed = oauth_server.issue_refresh_token()
    kill_grants(oauth_server)
    notices = tmp_path / "notices"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "maintenance.py").write_text(DAGS)
    environment = {
        "NOTICES": str(notices),
        "AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker",
    }
    airflow = AirflowDeployment(tmp_path / "home", tmp_path / "dags", environment=environment)
    with airflow:
        airflow.add_connection("crm", oauth_server.connection(refresh_token=seed))
        for dag_id in ("oauth_maintenance", "oauth_maintenance", "all_grants"):
            airflow.wait_for_dag(dag_id)
            run_id = airflow.trigger(dag_id)
            assert airflow.wait(dag_id, run_id) == "success"
        assert airflow.xcom("all_grants", run_id, "list_grants") == ["crm"]
        done = airflow.xcom("all_grants", run_id, "keep_alive", 0)
        assert done["troubles"] == ["needs_consent"]
        (_, kept) = airflow.task_instances("all_grants", run_id)
        assert kept["rendered_map_index"] == "crm"
        versions = airflow.call("GET", "/dags/oauth_maintenance/dagVersions")
        assert versions["total_entries"] == 1
    reported = notices.read_text().splitlines()
    assert [line.partition(" ")[0] for line in reported] == ["oauth_maintenance", "all_grants"]
    assert all(f"{airflow.url}/plugin/oauth/connect/crm" in line for line in reported)
    assert oauth_server.counters.token_requests == 1
