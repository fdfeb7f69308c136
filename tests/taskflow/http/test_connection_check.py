"""Airflow's "Test" button for each kind of connection, against the real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import Connection

from oauth_taskflow.taskflow.http.hook import OAuth2Hook
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection


def hook() -> OAuth2Hook:
    return OAuth2Hook(http_conn_id="crm")


def test_test_connection_fetches_a_token(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    assert hook().test_connection() == (
        True,
        "Token received, valid for 3600 s, scope 'airports.read'.",
    )
    assert hook().test_connection()[0] is True
    assert oauth_server.counters.token_requests == 2  # a stored token proves nothing


def test_test_connection_names_the_problem(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(password="wrong-secret"))
    works, message = hook().test_connection()
    assert not works
    assert "invalid_client" in message
    assert "Check client id (login), client secret (password)" in message
    assert "wrong-secret" not in message
    set_connection("crm", oauth_server.connection(tokn="x"))
    assert hook().test_connection()[0] is False


def test_test_connection_reports_a_token_without_expiry_and_without_scope(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    session = {"auth_type": "session", "login": "admin", "password": "static-password"}
    plain = oauth_server.connection(token_url=None, scope=None, **session)
    set_connection("crm", plain)
    assert hook().test_connection() == (True, "Token received.")


@pytest.mark.parametrize(
    ("password", "works", "start"),
    [
        ("static-bearer-token", True, "The API answered: HTTP 200 from "),
        ("wrong", False, "The credentials were refused: HTTP 401 from "),
    ],
)
def test_test_connection_calls_the_api_where_there_is_no_token_endpoint(
    password: str,
    works: bool,
    start: str,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    host = f"{oauth_server.base_url}/with/bearer/countries"
    static = {"auth_type": "bearer", "token_url": None, "scope": None}
    set_connection("crm", oauth_server.connection(host=host, password=password, **static))
    assert hook().test_connection() == (works, f"{start}{host}.")


def test_the_forms_test_button_does_not_spend_a_single_use_refresh_token(
    oauth_server: OAuthTestServer, set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_token = oauth_server.issue_refresh_token()
    made = oauth_server.connection(refresh_token=refresh_token)
    set_connection("aB3dE6gH", made)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    works, message = OAuth2Hook(http_conn_id="aB3dE6gH").test_connection()
    assert works
    assert message.startswith("The settings are complete. The refresh token was not tried")
    assert oauth_server.counters.token_requests == 0
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT")
    set_connection("crm", made)
    assert hook().test_connection()[0] is True
    assert oauth_server.counters.refreshes == 1


def test_airflows_own_connection_test_uses_the_hook(
    airflow_home: Path, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    works, message = Connection.get("crm").test_connection()
    assert (works, message[:14]) == (True, "Token received")
