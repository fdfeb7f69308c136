"""The list names who asked for a consent: the user of Airflow, or of the machine where the command ran."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import pytest

from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import arguments
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import SAME_ORIGIN
from tests.taskflow.page.consents import agree, begin, come_back, finish

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]


def read_grant(client: TestClient) -> dict[str, Any]:
    """The latest grant of ``crm`` as the list has it."""
    rows = client.get("/oauth/api/connections").json()["connections"]
    grant: dict[str, Any] = next(row["grants"][0] for row in rows if row["conn_id"] == "crm")
    return grant


def test_a_consent_on_the_page_names_the_user_until_it_is_revoked(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    assert finish(admin, come_back(admin, agree(begin(admin)))).status_code == 200
    assert read_grant(admin)["consented_by"] == "admin"
    refreshed = admin.post("/oauth/api/connections/crm/refresh", json={}, headers=SAME_ORIGIN)
    assert refreshed.status_code == 200
    grant = read_grant(admin)
    assert (grant["consented_by"], grant["version"]) == ("admin", 2)
    assert grant["consented_at"] <= grant["refreshed_at"]
    admin.post("/oauth/api/connections/crm/revoke", json={}, headers=SAME_ORIGIN)
    assert read_grant(admin)["consented_by"] == ""


def test_a_login_at_the_command_line_names_the_user_of_the_machine(
    connect: Connect, admin: TestClient, browser: list[str]
) -> None:
    connect()
    login(arguments())
    assert browser
    assert read_grant(admin)["consented_by"] == f"{getpass.getuser()} (command line)"


def test_a_machine_without_user_names_leaves_it_empty(
    connect: Connect, admin: TestClient, browser: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 50000")

    connect()
    monkeypatch.setattr(getpass, "getuser", fail)
    login(arguments())
    assert browser
    assert read_grant(admin)["consented_by"] == ""
