"""A deployment with several teams: the list asks Airflow's auth manager team by team, for DAGs too."""

from __future__ import annotations

import pytest

from oauth_taskflow.taskflow.grants import overview
from oauth_taskflow.taskflow.grants.usage import DagUse, UsageIndex
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse


class Known(UsageIndex):
    """An index that has read the DAGs already."""

    def find_users(self, wait: float = 0.0) -> dict[str, tuple[DagUse, ...]]:
        many = tuple(f"t{number}" for number in range(25))
        return {"crm": tuple(DagUse(f"d{number:02}", many) for number in range(23))}


def test_dags_that_the_auth_manager_does_not_know_are_not_named(
    set_connection: SetConnection,
    oauth_server: OAuthTestServer,
    browse: Browse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overview, "USES", Known())
    set_connection("crm", oauth_server.connection())
    client = browse("admin")
    (row,) = [
        one
        for one in client.get("/oauth/api/connections").json()["connections"]
        if one["conn_id"] == "crm"
    ]
    assert (len(row["used_by"]), row["more_dags"]) == (20, 3)
    assert (len(row["used_by"][0]["task_ids"]), row["used_by"][0]["more_tasks"]) == (20, 5)
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    (row,) = [
        one
        for one in client.get("/oauth/api/connections").json()["connections"]
        if one["conn_id"] == "crm"
    ]
    assert (row["used_by"], row["more_dags"]) == ([], 0)
    path = "/oauth/api/connections/crm/refresh"
    assert client.post(path, content="no JSON", headers=SAME_ORIGIN).status_code in {400, 422}
    assert client.post(path, json={}, headers=SAME_ORIGIN).status_code == 200
