"""``airflow oauth login`` with a real server, real callbacks and one real browser."""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from oauth_taskflow import secret_registry
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.support.chromium import require_chromium
from tests.taskflow.cli.login_runs import (
    arguments,
    call_api,
    hold_port,
    person_with_device,
    read_row,
    read_state,
    run_failing_login,
)
from tests.taskflow.conftest import Connect
from tests.taskflow.later import an_hour_later

pytestmark = pytest.mark.usefixtures("own_store")


def test_after_the_consent_of_a_person_tasks_have_a_grant(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    login(arguments())
    row = read_row(capsys)
    assert (row["conn_id"], row["state"], row["version"]) == ("crm", "fresh", 1)
    assert call_api() == 200
    assert oauth_server.counters.token_requests == 1
    (url,) = browser
    redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    assert urlsplit(redirect).hostname == "127.0.0.1"


def test_the_grant_of_a_login_is_refreshed_and_rotated(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str]
) -> None:
    connect()
    login(arguments())
    for _ in range(2):
        an_hour_later()
        oauth_server.revoke_access_tokens()
        assert call_api() == 200
    assert oauth_server.counters.refreshes == 2
    assert oauth_server.counters.reuse_detected == 0


def test_a_login_replaces_the_refresh_token_of_the_connection_for_good(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str]
) -> None:
    connect(refresh_token="spent-long-ago")
    login(arguments())
    oauth_server.revoke_access_tokens()
    assert call_api() == 200
    sent = [call.form.get("refresh_token") for call in oauth_server.requests]
    assert "spent-long-ago" not in sent


def test_without_a_login_the_task_names_the_command(connect: Connect) -> None:
    connect()
    with pytest.raises(Exception, match="airflow oauth login crm"):
        call_api()


def test_the_authorization_request_is_pushed_when_the_connection_has_par_url(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str]
) -> None:
    oauth_server.desk.par_required = True
    connect(par_url=f"{oauth_server.base_url}/oauth/par")
    login(arguments())
    assert call_api() == 200
    assert sorted(parse_qs(urlsplit(browser[0]).query)) == ["client_id", "request_uri"]


def test_a_login_without_an_answer_names_what_the_server_may_demand(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    text = run_failing_login(capsys, timeout=0.2)
    assert text.endswith(
        f"No answer came within 0.2 s for connection 'crm' at {oauth_server.base_url}/oauth/authorize. If the page in the "
        "browser shows an error, correct the connection first: redirect_uri must be registered for the client, and a "
        "server that demands pushed requests (PAR) needs par_url in extra. Start the login again: airflow oauth login "
        "crm\n"
    )


def test_authorize_params_and_a_registered_redirect_uri_are_sent(
    connect: Connect, browser: list[str]
) -> None:
    connect(authorize_params={"prompt": "consent"}, redirect_uri="http://localhost/cb")
    login(arguments())
    query = parse_qs(urlsplit(browser[0]).query)
    assert query["prompt"] == ["consent"]
    place = urlsplit(query["redirect_uri"][0])
    assert (place.hostname, place.path) == ("localhost", "/cb")


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            {"status": 400, "body": '{"error": "invalid_grant"}'},
            "The code was used or has run out. Start again: airflow oauth login crm",
        ),
        ({"drop": True, "after_commit": True}, "after the request was sent"),
    ],
)
def test_a_code_is_not_sent_again_after_a_refusal_or_a_lost_response(
    connect: Connect,
    oauth_server: OAuthTestServer,
    capsys: pytest.CaptureFixture[str],
    fault: dict[str, Any],
    said: str,
) -> None:
    connect()
    oauth_server.fault("/oauth/token", **fault)
    assert said in run_failing_login(capsys)
    assert sum(call.path == "/oauth/token" for call in oauth_server.requests) == 1
    assert read_state(capsys) == "empty"


def test_a_person_who_refuses_leaves_no_grant(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    oauth_server.desk.decision = "refuse"
    assert "refused (access_denied)" in run_failing_login(capsys)
    assert read_state(capsys) == "empty"


def test_a_login_without_consent_ends_after_the_time_out(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    oauth_server.desk.decision = "ignore"
    assert "No answer came within 0.3 s" in run_failing_login(capsys, timeout=0.3)


def test_without_a_desktop_the_address_is_printed_and_no_browser_starts(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    monkeypatch.setattr(webbrowser, "open", pytest.fail)
    text = run_failing_login(capsys, timeout=0.2)
    assert "Open this address and agree:" in text
    monkeypatch.setenv("DISPLAY", ":0")
    run_failing_login(capsys, timeout=0.2, no_browser=True)


def test_secrets_of_the_login_are_masked_and_never_printed(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    login(arguments())
    captured = capsys.readouterr()
    trade = next(call.form for call in oauth_server.requests if call.path == "/oauth/token")
    secrets = {trade["code"], trade["code_verifier"], *oauth_server.state.list_issued()}
    assert secrets <= set(secret_registry.list_secrets())
    assert not [one for one in secrets if one in captured.out + captured.err]


def test_a_login_without_a_browser_reads_the_pasted_address(
    connect: Connect,
    oauth_server: OAuthTestServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(redirect_uri="http://127.0.0.1:9/cb")

    def person() -> str:
        url = next(word for word in capsys.readouterr().err.split() if word.startswith("http"))
        return requests.get(url, allow_redirects=False, timeout=60).headers["Location"]

    monkeypatch.setattr(builtins, "input", person)
    login(arguments(paste=True))
    assert read_row(capsys)["state"] == "fresh"
    assert call_api() == 200


def test_a_pasted_address_of_another_login_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    for text, reason in (("http://127.0.0.1/?code=a&state=b\n", "its state"), ("", "No address")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert reason in run_failing_login(capsys, paste=True)


def test_a_login_with_a_device_code_stores_a_grant(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    oauth_server.desk.device_interval = 0.1
    with person_with_device(oauth_server):
        login(arguments(device=True))
    captured = capsys.readouterr()
    ((device_code, device),) = oauth_server.desk.devices.items()
    assert device.user_code in captured.err
    assert "Waiting for up to 80 seconds" in captured.err
    assert device_code not in captured.err
    assert device_code in secret_registry.list_secrets()
    assert call_api() == 200


def test_without_a_refresh_token_the_person_is_warned(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = '{"access_token": "only-this-one", "token_type": "Bearer", "scope": "airports.write x"}'
    oauth_server.fault("/oauth/token", status=200, body=body)
    connect()
    login(arguments())
    text = capsys.readouterr().err
    assert "The server gave no refresh token: many servers want the scope offline_access" in text
    assert "less than was asked for: airports.read" in text
    assert "more than was asked for: airports.write x" in text


_NO_GRANT = (
    "Connection 'crm' has auth_type bearer, which stores no grant. airflow oauth login, status, refresh and revoke work "
    "on connections with auth_type oauth2; try this one with: airflow connections test crm"
)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (({"grant_type": "client_credentials"}, {}), "which needs no consent of a person"),
        (({"authorize_url": None}, {}), "'authorize_url'. Put its URL into extra."),
        (({"device_url": None}, {"device": True}), "'device_url'. Put its URL into extra."),
        (({"redirect_uri": "https://app.example/cb"}, {}), "Run: airflow oauth login crm --paste"),
        (({"authorize_url": "http://id.example/a"}, {}), "not an https URL"),
        (({"redirect_uri": "http://evil.example/cb"}, {}), "neither an https URL nor one of this"),
        (({"redirect_uri": "http://127.0.0.1/cb?x=1"}, {}), "neither an https URL nor one of this"),
        (({"auth_type": "bearer", "token_url": None}, {}), _NO_GRANT),
        (({}, {"timeout": 601.0}), "--timeout takes 1 to 600 seconds."),
    ],
)
def test_a_login_that_cannot_work_fails_before_any_request(
    connect: Connect,
    oauth_server: OAuthTestServer,
    capsys: pytest.CaptureFixture[str],
    wrong: tuple[dict[str, Any], dict[str, Any]],
    reason: str,
) -> None:
    extra, given = wrong
    if extra.get("auth_type") == "bearer":
        nothing = dict.fromkeys(("grant_type", "authorize_url", "device_url", "scope"))
        extra = {**nothing, **extra}
    connect(**extra)
    assert reason in run_failing_login(capsys, **given)
    assert oauth_server.requests == []


def test_a_taken_port_is_named(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    connect()
    with hold_port() as port:
        text = run_failing_login(capsys, port=port)
    assert f"Port {port} of 127.0.0.1 cannot be opened for listening" in text
    assert "--port" in text


@pytest.mark.slow
def test_the_command_line_and_a_real_browser(
    connect: Connect, oauth_server: OAuthTestServer, airflow_home: Path, tmp_path: Path
) -> None:
    chromium = require_chromium()
    connect()
    script = tmp_path / "browser"
    script.write_text(
        f"#!/bin/sh\nexec {chromium} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
        f'--user-data-dir={tmp_path}/profile --dump-dom "$1" > {tmp_path}/page.html 2>/dev/null\n'
    )
    script.chmod(0o755)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "airflow"), "oauth", "login", "crm", "--output", "json"],
        env={**os.environ, "BROWSER": str(script)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("[") :])[0]["state"] == "fresh"
    page, end = tmp_path / "page.html", time.monotonic() + 120
    while "Answer received" not in page.read_text():  # the browser may outlive the command
        assert time.monotonic() < end
        time.sleep(0.05)
    assert call_api() == 200
    secrets = oauth_server.state.list_issued()
    assert not [one for one in secrets if one in done.stdout + done.stderr]
