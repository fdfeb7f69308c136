"""``airflow oauth login`` and ``refresh`` while the authorization server answers 429: they say until when they wait."""

from __future__ import annotations

import re
from argparse import Namespace
from contextlib import nullcontext
from typing import Any

import pytest

from oauth_taskflow.taskflow.cli.grants import refresh
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import (
    arguments,
    call_api,
    person_with_device,
    run_failing_login,
)
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")
NEXT_ATTEMPT = r" unavailable \(HTTP 429\) .*/oauth/token\. The next attempt is at \d\d:\d\d:\d\d, in (\d+) s\.\n"


@pytest.mark.parametrize(
    ("is_device", "seconds"),
    [
        (False, {"1", "2"}),
        (True, {"1"}),
    ],  # by browser with up to half of the server's second as jitter
)
@pytest.mark.usefixtures("browser")
def test_a_login_names_the_moment_of_its_next_attempt(
    connect: Connect,
    oauth_server: OAuthTestServer,
    capsys: pytest.CaptureFixture[str],
    is_device: bool,
    seconds: set[str],
) -> None:
    connect()
    oauth_server.desk.device_interval = 0.1
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "1"})
    with person_with_device(oauth_server) if is_device else nullcontext():
        login(arguments(device=is_device))
    said = re.search(NEXT_ATTEMPT, capsys.readouterr().err)
    assert said, said
    assert said[1] in seconds
    assert call_api() == 200


def test_a_login_ends_at_once_where_the_server_asks_for_a_pause_beyond_the_device_code(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    oauth_server.desk.device_interval = 0.1
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "3600"})
    text = run_failing_login(capsys, device=True)
    assert "Waiting for up to 10 minutes" in text
    assert (
        "Token endpoint unavailable (HTTP 429), and the device code ends before the next attempt for connection 'crm' at "
        in text
    )
    assert re.search(
        r"Start again: airflow oauth login crm --device\nIt can be tried again at .*, in 3600 s\.\n$",
        text,
    )
    assert "next attempt is at" not in text


@pytest.mark.parametrize(
    ("path", "given"),
    [("/oauth/device", {"device": True}), ("/oauth/par", {}), ("/oauth/token", {})],
)
@pytest.mark.usefixtures("browser")
def test_a_login_that_does_not_wait_names_the_moment_to_try_it_again(
    connect: Connect,
    oauth_server: OAuthTestServer,
    capsys: pytest.CaptureFixture[str],
    path: str,
    given: dict[str, Any],
) -> None:
    connect(par_url=f"{oauth_server.base_url}/oauth/par")
    oauth_server.fault(path, status=429, headers={"Retry-After": "200000"})
    text = run_failing_login(capsys, **given)
    assert re.search(
        r"ndpoint unavailable \(HTTP 429\) .* status page\.\n"
        r"It can be tried again at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, in 200000 s\.\n$",
        text,
    ), text


def test_a_refresh_names_the_moment_to_try_it_again(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(refresh_token=oauth_server.issue_refresh_token())
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "600"})
    with pytest.raises(SystemExit):
        refresh(Namespace(conn_id="crm", output="json"))
    assert re.search(r"It can be tried again at .*, in 600 s\.\n$", capsys.readouterr().err)


def test_a_refresh_that_waits_logs_how_long(
    connect: Connect, oauth_server: OAuthTestServer, caplog: pytest.LogCaptureFixture
) -> None:
    connect(refresh_token=oauth_server.issue_refresh_token())
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "0"})
    with caplog.at_level("INFO", logger="oauth_taskflow.tokens"):
        refresh(Namespace(conn_id="crm", output="json"))
    assert "unavailable (HTTP 429) for connection 'crm' at" in caplog.text
    assert "; the next attempt is in 0.0 s" in caplog.text
