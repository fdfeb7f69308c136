"""Connect with a code on another device: the page asks the API server, which asks the token endpoint seldom enough."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import call_api
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import Browse
from tests.taskflow.page.consents import post
from tests.taskflow.page.stored_rows import empty, read_audit

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store")]


@pytest.fixture
def admin(browse: Browse, connect: Connect, oauth_server: OAuthTestServer) -> TestClient:
    oauth_server.desk.device_interval = 0.2
    connect()
    return browse("admin")


def begin(client: TestClient) -> dict[str, Any]:
    answer = post(client, way="device")
    assert answer.status_code == 200, answer.text
    prompt: dict[str, Any] = answer.json()
    return prompt


def enter(prompt: dict[str, Any]) -> None:
    """The person's steps on the other device."""
    page = f"{prompt['verification_uri']}?user_code={prompt['user_code']}"
    requests.get(page, timeout=60).raise_for_status()


def ask(client: TestClient, prompt: dict[str, Any], *, patience: float = 20.0) -> Any:
    """The end of the consent, as the page waits for it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = post(client, "/ask", ticket=prompt["ticket"])
        body = answer.json()
        if "wait" not in body:
            return answer
        time.sleep(min(body["wait"], 1.0) + 0.01)
    msg = "the consent did not end"
    raise AssertionError(msg)


def test_a_person_enters_the_code_elsewhere_and_tasks_have_a_grant(admin: TestClient) -> None:
    prompt = begin(admin)
    assert {"user_code", "verification_uri", "expires_in", "interval", "ticket"} <= set(prompt)
    assert "device_code" not in prompt
    assert "wait" in post(admin, "/ask", ticket=prompt["ticket"]).json()
    enter(prompt)
    result = ask(admin, prompt).json()
    assert (result["conn_id"], result["grant"]["state"]) == ("crm", "fresh")
    assert result["trial"]["ok"] is True
    assert call_api() == 200


def test_however_often_the_page_asks_the_token_endpoint_is_asked_once_per_interval(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    oauth_server.desk.device_interval = 1.0
    prompt = begin(admin)
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda: ask_twice(admin, prompt, oauth_server), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2 <= oauth_server.counters.token_requests <= time.monotonic() - began + 1


def ask_twice(client: TestClient, prompt: dict[str, Any], server: OAuthTestServer) -> None:
    """Ask until the server was asked twice."""
    while server.counters.token_requests < 2:
        assert "wait" in post(client, "/ask", ticket=prompt["ticket"]).json()
        time.sleep(0.05)


def test_a_server_that_is_asked_too_often_is_asked_less_often(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    prompt = begin(admin)
    oauth_server.fault("/oauth/token", status=400, body='{"error": "slow_down"}')
    time.sleep(0.3)
    answer = post(admin, "/ask", ticket=prompt["ticket"]).json()
    assert answer["wait"] == pytest.approx(5.2)


def test_a_person_who_refuses_ends_the_consent(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    oauth_server.desk.decision = "refuse"
    prompt = begin(admin)
    enter(prompt)
    answer = ask(admin, prompt)
    assert answer.status_code == 409
    assert "access_denied" in answer.json()["detail"]
    assert "This consent is over" in ask(admin, prompt).json()["detail"]


def test_a_code_that_ran_out_says_so(admin: TestClient, oauth_server: OAuthTestServer) -> None:
    oauth_server.desk.device_lifetime = 1.0
    prompt = begin(admin)
    time.sleep(1.1)
    assert "This consent is over" in ask(admin, prompt).json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_a_code_that_the_server_calls_expired_says_so(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    prompt = begin(admin)
    oauth_server.fault("/oauth/token", status=400, body='{"error": "expired_token"}')
    answer = ask(admin, prompt)
    assert "before the device code expired" in answer.json()["detail"]
    assert answer.json()["hint"] == "Start again with Connect"


def test_another_user_neither_asks_nor_ends_it(
    admin: TestClient, browse: Browse, oauth_server: OAuthTestServer
) -> None:
    prompt = begin(admin)
    time.sleep(0.3)
    refused = post(browse("op"), "/ask", ticket=prompt["ticket"])
    assert "Another user of Airflow began this consent" in refused.json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_a_cancelled_consent_stores_nothing_even_if_the_person_agrees(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    prompt = begin(admin)
    assert post(admin, "/cancel", ticket=prompt["ticket"]).status_code == 200
    enter(prompt)
    assert "This consent is over" in ask(admin, prompt).json()["detail"]
    assert post(admin, "/cancel", ticket=prompt["ticket"]).status_code == 200
    assert oauth_server.counters.token_requests == 0


def test_a_token_endpoint_that_is_away_does_not_end_the_consent(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    prompt = begin(admin)
    oauth_server.fault("/oauth/token", status=503)
    enter(prompt)
    assert ask(admin, prompt).status_code == 200


def test_the_audit_log_has_one_row_from_the_code_to_the_end(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    empty()
    prompt = begin(admin)
    assert read_devices() == ["begun"]
    enter(prompt)
    ask(admin, prompt)
    assert read_devices() == ["connected"]
    second = begin(admin)
    post(admin, "/cancel", ticket=second["ticket"])
    post(admin, "/cancel", ticket=second["ticket"])
    assert read_devices() == ["connected", "cancelled"]
    oauth_server.desk.decision = "refuse"
    third = begin(admin)
    enter(third)
    ask(admin, third)
    assert read_devices()[2].startswith("failed: ")
    assert prompt["ticket"] not in repr(read_audit())
    empty()


def read_devices() -> list[str]:
    """The outcomes of consents by device."""
    return [extra["outcome"] for event, _, extra in read_audit() if event == "oauth_connect"]


def test_a_ticket_of_a_device_finishes_no_consent_in_the_browser(admin: TestClient) -> None:
    prompt = begin(admin)
    answer = post(admin, "/finish", ticket=prompt["ticket"])
    assert "This consent is over" in answer.json()["detail"]
