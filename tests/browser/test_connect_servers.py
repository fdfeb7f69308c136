"""Consents over several API servers, one of which dies, and requests from other sites."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer, Deployment
from tests.browser.test_connect import Add, add, agree, provider

__all__ = ["add", "provider"]


def call(server: ApiServer, conn_id: str, step: str, **body: Any) -> Any:
    """The answer to a program of the user ``admin``."""
    address = f"/oauth/api/connections/{conn_id}/consent{step}"
    return server.call("POST", address, body, server.log_in("admin"))


def read_place(callback: str) -> tuple[str, str]:
    """Connection and ticket that an answer leads to."""
    answer = requests.get(callback, allow_redirects=False, timeout=10)
    conn_id, ticket = answer.headers["Location"].partition("#")[2].split("/")
    return conn_id, ticket


def test_a_consent_survives_the_server_that_began_it(
    airflow: ApiServer, deployment: Deployment, add: Add
) -> None:
    conn_id = add()
    with ApiServer(deployment, AIRFLOW__API__BASE_URL=airflow.url) as dying:
        url = call(dying, conn_id, "", way="browser")["authorization_url"]
        assert dying._process is not None
        os.killpg(dying._process.pid, signal.SIGKILL)
    back = agree(url)
    assert back.startswith(f"{airflow.url}/oauth/callback?")
    found, ticket = read_place(back)
    assert found == conn_id
    assert call(airflow, conn_id, "/finish", ticket=ticket)["grant"]["state"] == "fresh"


def test_of_two_servers_that_finish_at_once_one_does(
    airflow: ApiServer, airflow_below: ApiServer, add: Add, provider: OAuthTestServer
) -> None:
    conn_id = add()
    url = call(airflow, conn_id, "", way="browser")["authorization_url"]
    _, ticket = read_place(agree(url))

    def finish(server: ApiServer) -> str:
        try:
            return str(call(server, conn_id, "/finish", ticket=ticket)["grant"]["state"])
        except HTTPError as refused:
            return str(refused.code)

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(finish, [airflow, airflow_below] * 2))
    assert sorted(ends) == ["409", "409", "409", "fresh"]
    assert sum(one.path == "/oauth/token" for one in provider.requests) == 1


def test_two_servers_ask_about_one_device_code_in_turns(
    airflow: ApiServer, airflow_below: ApiServer, add: Add, provider: OAuthTestServer
) -> None:
    conn_id = add()
    prompt = call(airflow, conn_id, "", way="device")
    servers = [airflow, airflow_below]
    for number in range(4):
        assert "wait" in call(servers[number % 2], conn_id, "/ask", ticket=prompt["ticket"])
    page = f"{provider.base_url}/device?user_code={quote(prompt['user_code'])}"
    requests.get(page, timeout=60).raise_for_status()
    for number in range(60):
        answer = call(servers[number % 2], conn_id, "/ask", ticket=prompt["ticket"])
        if "wait" not in answer:
            break
        time.sleep(answer["wait"])
    assert answer["grant"]["state"] == "fresh"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_site_cannot_begin_a_consent_in_this_browser(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer, kind: str
) -> None:
    """The other site is another port of this host: the cookie comes along, as it does to a subdomain."""
    conn_id, page = add(), open_page()
    page.goto(f"{provider.base_url}/device?user_code=none")
    address = f"{airflow.url}/oauth/api/connections/{conn_id}/consent"
    script = (
        "([url, kind]) => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', "
        "headers: {'Content-Type': kind}, body: '{\"way\": \"device\"}'})"
    )
    with page.expect_response(address) as response:
        page.evaluate(script, [address, kind])
    assert response.value.status == 403
    assert not [one for one in provider.requests if one.path == "/oauth/device"]


def test_connect_with_the_keyboard_alone_in_the_dark(
    airflow: ApiServer, open_page: OpenPage, add: Add
) -> None:
    conn_id, page = add(), open_page(dark=True)
    page.goto(f"/plugin/oauth/connect/{conn_id}")
    page.get_by_role("button", name="Connect in this tab").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Connect in this tab":
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
