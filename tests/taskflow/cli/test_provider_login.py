"""The authorization URL and the token request of a login, for connections with ``provider``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import pytest

from oauth_taskflow.errors import AuthorizationFailed
from oauth_taskflow.taskflow.cli.login_flow import LoginOptions, log_in_by_paste
from oauth_taskflow.taskflow.grants.consent_flow import start_attempt
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.testing import Fault, LoggedRequest, OAuthTestServer
from tests.taskflow.conftest import SetConnection


def connection_to(provider: str, **extra: Any) -> dict[str, Any]:
    return {
        "conn_type": "oauth2",
        "host": "https://api.example.com",
        "login": "me",
        "password": "s3cret-of-client",
        "extra": {"provider": provider, **extra},
    }


def open_page(
    set_connection: SetConnection, provider: str, **extra: Any
) -> tuple[str, dict[str, str]]:
    """Address and parameters of the page that a person is sent to."""
    connection = connection_to(provider, **extra)
    said: list[str] = []

    def paste_nothing() -> str:
        raise EOFError

    grant = load_managed_grant(set_connection("crm", connection))
    with pytest.raises(AuthorizationFailed):
        log_in_by_paste(grant, LoginOptions(), said.append, paste_nothing)
    url = next(word for text in said for word in text.split() if word.startswith("https://"))
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", dict(parse_qsl(parts.query))


def test_the_page_parameters_and_offline_scope_come_from_the_preset(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    cloud = "11223344-a1b2-3b33-c444-def123456789"
    page, sent = open_page(
        set_connection,
        "atlassian",
        cloud_id=cloud,
        scope="read:jira-work",
        grant_type="refresh_token",
    )
    assert page == "https://auth.atlassian.com/authorize"
    assert (sent["audience"], sent["prompt"]) == ("api.atlassian.com", "consent")
    assert sent["scope"] == "read:jira-work offline_access"
    assert sent["code_challenge_method"] == "S256"


def test_parameters_of_the_connection_override_those_of_the_preset(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = open_page(
        set_connection, "google", scope="a", authorize_params={"prompt": "select_account"}
    )
    assert (sent["access_type"], sent["prompt"]) == ("offline", "select_account")


def test_an_authorization_request_uses_the_parameter_names_of_the_preset(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = open_page(set_connection, "slack-user", scope="users:read channels:read")
    assert sent["user_scope"] == "users:read,channels:read"
    assert "scope" not in sent


def test_pkce_is_left_out_where_the_preset_says_so(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = open_page(set_connection, "linkedin", grant_type="authorization_code")
    assert "code_challenge" not in sent
    assert len(sent["state"]) >= 43


@pytest.mark.parametrize("provider", ["slack", "square", "ups"])
def test_pkce_is_for_clients_without_a_secret_where_it_makes_a_client_public(
    set_connection: SetConnection, airflow_home: Path, provider: str
) -> None:
    _, sent = open_page(set_connection, provider, grant_type="authorization_code")
    assert "code_challenge" not in sent
    public = connection_to(provider, client_auth="none", grant_type="authorization_code")
    del public["password"]
    attempt = start_attempt(
        load_managed_grant(set_connection("public", public)), "http://127.0.0.1/cb"
    )
    assert dict(attempt.parameters)["code_challenge_method"] == "S256"


def exchange_code(
    set_connection: SetConnection, server: OAuthTestServer, said_to_browser: str, **connection: Any
) -> tuple[SplitResult, LoggedRequest]:
    """The page of a login that comes back with ``said_to_browser``, and the token request that follows."""
    keys = {"token_url": server.token_url, "redirect_uri": "https://app.example/cb"}
    set_connection("crm", connection_to(**connection, **keys))
    said: list[str] = []

    def page() -> SplitResult:
        return urlsplit(next(word for text in said for word in text.split() if "?" in word))

    def paste_answer() -> str:
        state = dict(parse_qsl(page().query))["state"]
        return f"https://app.example/cb?{said_to_browser}&state={state}"

    log_in_by_paste(load_managed_grant("crm"), LoginOptions(), said.append, paste_answer)
    (trade,) = server.requests
    return page(), trade


def answer_token_request(server: OAuthTestServer, body: str) -> None:
    server.faults.add(Fault("/oauth/token", 200, {"Content-Type": "application/json"}, body))


def test_a_code_under_another_parameter_name_is_exchanged(
    set_connection: SetConnection, airflow_home: Path, oauth_server: OAuthTestServer
) -> None:
    answer_token_request(
        oauth_server, '{"access_token": "at", "refresh_token": "rt", "expires_in": 3600}'
    )
    keys = {"provider": "amazon-sp-api", "application_id": "app-7", "seller_tld": "de"}
    page, trade = exchange_code(set_connection, oauth_server, "spapi_oauth_code=ANx7", **keys)
    assert page.netloc == "sellercentral.amazon.de"
    assert dict(parse_qsl(page.query))["application_id"] == "app-7"
    assert "code_challenge" not in page.query
    assert trade.form["code"] == "ANx7"
    assert "code_verifier" not in trade.form


def test_a_code_is_exchanged_with_the_parameter_names_of_the_preset(
    set_connection: SetConnection, airflow_home: Path, oauth_server: OAuthTestServer
) -> None:
    answer_token_request(
        oauth_server, '{"code": 0, "message": "OK", "data": {"access_token": "at"}}'
    )
    page, trade = exchange_code(set_connection, oauth_server, "code=c1", provider="tiktok-ads")
    assert dict(parse_qsl(page.query))["app_id"] == "me"
    sent = json.loads(trade.body)
    assert (sent["auth_code"], sent["app_id"], sent["secret"]) == ("c1", "me", "s3cret-of-client")
    assert {"code", "client_id", "client_secret", "grant_type"} & sent.keys() == set()
