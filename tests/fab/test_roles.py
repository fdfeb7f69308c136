"""The page under Airflow's FAB auth manager (apache-airflow-providers-fab): its five roles, and others with some permissions."""

from __future__ import annotations

import urllib.error
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.browser.server import ApiServer

pytestmark = [pytest.mark.airflow, pytest.mark.full]


def ask(airflow: ApiServer, role: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and answer of the page's API to a user of ``role``."""
    try:
        token = airflow.log_in(role.lower())
        return 200, airflow.call(method, f"/oauth/api{path}", body, token)
    except urllib.error.HTTPError as error:
        return error.code, None


@pytest.mark.parametrize("role", ["User", "Viewer", "Public"])
def test_roles_without_permission_on_connections_see_nothing(airflow: ApiServer, role: str) -> None:
    for method, path, body in (
        ("GET", "/connections", None),
        ("GET", "/presets", None),
        ("POST", "/connections", {"conn_id": "new"}),
        ("POST", "/connections/crm/form", {}),
        ("POST", "/connections/crm/refresh", {}),
        ("POST", "/connections/crm/consent/offer", {}),
        ("POST", "/connections/crm/consent", {"way": "browser"}),
    ):
        assert ask(airflow, role, method, path, body)[0] == 403, path


@pytest.mark.parametrize("role", ["Admin", "Op"])
def test_admin_and_op_may_do_everything(airflow: ApiServer, role: str) -> None:
    status, listing = ask(airflow, role, "GET", "/connections")
    assert status == 200
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert {"connect", "test"} <= set(row["actions"])
    assert listing["may_add"] is True
    assert ask(airflow, role, "POST", "/connections/crm/form", {})[0] == 200
    plugins = airflow.call("GET", "/api/v2/plugins", token=airflow.log_in(role.lower()))
    assert "oauth_taskflow" in {one["name"] for one in plugins["plugins"]}


def test_a_role_that_reads_connections_sees_the_list_and_no_action(airflow: ApiServer) -> None:
    status, listing = ask(airflow, "Reader", "GET", "/connections")
    assert status == 200
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert (row["actions"], listing["may_add"]) == ([], False)
    assert ask(airflow, "Reader", "POST", "/connections/crm/form", {})[0] == 403
    assert ask(airflow, "Reader", "POST", "/connections/crm/consent", {"way": "browser"})[0] == 403


def test_a_role_that_edits_connections_has_all_actions_and_adds_none(airflow: ApiServer) -> None:
    _, listing = ask(airflow, "Editor", "GET", "/connections")
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert {"connect", "test"} <= set(row["actions"])
    assert listing["may_add"] is False
    assert ask(airflow, "Editor", "POST", "/connections/crm/form", {})[0] == 200
    assert ask(airflow, "Editor", "POST", "/connections", {"conn_id": "new"})[0] == 403


def test_a_role_that_creates_connections_adds_them_and_has_no_action(airflow: ApiServer) -> None:
    _, listing = ask(airflow, "Adder", "GET", "/connections")
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert (row["actions"], listing["may_add"]) == ([], True)
    # 422: it was let in, and the form is incomplete.
    assert ask(airflow, "Adder", "POST", "/connections", {"conn_id": "new"})[0] == 422
    assert ask(airflow, "Adder", "POST", "/connections/crm/form", {})[0] == 403


@pytest.mark.parametrize(
    ("role", "named"), [("Author", ["pulls"]), ("Op", ["pulls"]), ("Reader", []), ("Watcher", [])]
)
def test_dags_that_use_a_connection_are_named_to_roles_that_read_dags(
    airflow: ApiServer, role: str, named: list[str]
) -> None:
    _, listing = ask(airflow, role, "GET", "/connections")
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert [use["dag_id"] for use in row["used_by"]] == named
    assert row["more_dags"] == 0


@pytest.mark.parametrize(
    ("role", "sees_runs"), [("Analyst", True), ("User", True), ("Viewer", True), ("Author", False)]
)
def test_the_tab_names_endpoints_to_roles_that_read_dags(
    airflow: ApiServer, role: str, *, sees_runs: bool
) -> None:
    status, found = ask(airflow, role, "GET", "/dags/pulls/endpoints?task_id=contacts")
    assert status == 200
    (endpoint,) = found["endpoints"]
    assert endpoint["name"] == "contacts"
    assert (endpoint["run"] is not None, endpoint["spec"] is not None) == (sees_runs, sees_runs)


@pytest.mark.parametrize("role", ["Watcher", "Editor", "Public"])
def test_the_tab_is_refused_to_roles_that_do_not_read_dags(airflow: ApiServer, role: str) -> None:
    assert ask(airflow, role, "GET", "/dags/pulls/endpoints")[0] == 403
    assert ask(airflow, role, "GET", "/dags/pulls/endpoints/contacts/changes")[0] == 403


def bring_answer(airflow: ApiServer, role: str) -> str:
    """The ticket of a consent that a user of ``role`` began and a person gave."""
    status, begun = ask(airflow, role, "POST", "/connections/crm/consent", {"way": "browser"})
    assert status == 200
    consent = requests.get(begun["authorization_url"], allow_redirects=False, timeout=60)
    back = requests.get(consent.headers["Location"], allow_redirects=False, timeout=60)
    assert back.status_code == 303
    return urlsplit(back.headers["Location"]).fragment.rpartition("/")[2]


def test_an_op_connects_and_another_user_cannot_finish_it(airflow: ApiServer) -> None:
    finish = "/connections/crm/consent/finish"
    ticket = bring_answer(airflow, "Op")
    assert ask(airflow, "Admin", "POST", finish, {"ticket": ticket})[0] == 409
    ticket = bring_answer(airflow, "Op")
    status, connected = ask(airflow, "Op", "POST", finish, {"ticket": ticket})
    assert status == 200
    assert connected["conn_id"] == "crm"
    _, listing = ask(airflow, "Admin", "GET", "/connections")
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "crm"]
    assert row["health"] == "healthy"
    assert row["grants"][0]["consented_by"] == "op"
