"""A login whose response cannot be used: it is stored, and the corrected connection needs no second login."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import arguments, call_api, person_with_device, run_failing_login
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")
WRONG: list[dict[str, Any]] = [
    {"token_path": "acces_token"},
    {"token_path": "data.at", "refresh_token_path": "data.rt"},
    {"dpop": True},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_corrected_connection_needs_no_second_login(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
    wrong: dict[str, Any],
) -> None:
    connect(**wrong)
    assert "no new login is needed" in run_failing_login(capsys)
    with pytest.raises(Exception, match="no new login is needed"):
        call_api()
    connect()
    assert call_api() == 200
    oauth_server.revoke_access_tokens()
    assert call_api() == 200
    assert oauth_server.counters.reuse_detected == 0
    assert len(browser) == 1


def test_a_corrected_connection_needs_no_second_login_with_a_device(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(token_path="acces_token")
    oauth_server.desk.device_interval = 0.05
    with person_with_device(oauth_server):
        assert "no new login is needed" in run_failing_login(capsys, device=True)
    connect()
    assert call_api() == 200


def test_a_refresh_token_is_found_after_its_misspelled_path_is_corrected(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str]
) -> None:
    connect(refresh_token_path="refres_token")
    login(arguments())
    oauth_server.revoke_access_tokens()
    connect()
    assert call_api() == 200
    assert oauth_server.counters.refreshes == 1


def test_a_response_without_any_token_is_an_error_and_keeps_the_old_grant(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    login(arguments())
    capsys.readouterr()
    oauth_server.fault("/oauth/token", status=200, body=json.dumps({"note": "none"}))
    assert "No access token in the answer" in run_failing_login(capsys)
    assert call_api() == 200
