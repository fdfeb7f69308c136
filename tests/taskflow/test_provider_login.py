"""The address that a login opens, for connections that name their provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from oauth_taskflow.errors import AuthorizationFailed
from oauth_taskflow.taskflow.consent_places import managed_grant
from oauth_taskflow.taskflow.login_flow import LoginOptions, log_in_by_paste
from oauth_taskflow.testing import Fault, OAuthTestServer
from tests.taskflow.conftest import SetConnection


def connection_to(provider: str, **extra: Any) -> dict[str, Any]:
    return {
        "conn_type": "oauth2",
        "host": "https://api.example.com",
        "login": "me",
        "password": "s3cret-of-client",
        "extra": {"provider": provider, **extra},
    }


def opened(
    set_connection: SetConnection, provider: str, **extra: Any
) -> tuple[str, dict[str, str]]:
    """Address and parameters of the page that a person is sent to."""
    connection = connection_to(provider, **extra)
    said: list[str] = []

    def nobody() -> str:
        raise EOFError

    grant = managed_grant(set_connection("crm", connection))
    with pytest.raises(AuthorizationFailed):
        log_in_by_paste(grant, LoginOptions(), said.append, nobody)
    url = next(word for text in said for word in text.split() if word.startswith("https://"))
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", dict(parse_qsl(parts.query))


def test_the_page_parameters_and_offline_scope_come_from_the_preset(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    cloud = "11223344-a1b2-3b33-c444-def123456789"
    page, sent = opened(
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


def test_the_connections_own_parameters_win(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = opened(
        set_connection, "google", scope="a", authorize_params={"prompt": "select_account"}
    )
    assert (sent["access_type"], sent["prompt"]) == ("offline", "select_account")


def test_a_server_with_its_own_names_is_asked_by_them(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = opened(set_connection, "slack-user", scope="users:read channels:read")
    assert sent["user_scope"] == "users:read,channels:read"
    assert "scope" not in sent


def test_pkce_is_left_out_where_the_preset_says_so(
    set_connection: SetConnection, airflow_home: Path
) -> None:
    _, sent = opened(set_connection, "linkedin", grant_type="authorization_code")
    assert "code_challenge" not in sent
    assert len(sent["state"]) >= 43


def test_a_code_that_comes_back_under_another_name_is_traded(
    set_connection: SetConnection, airflow_home: Path, oauth_server: OAuthTestServer
) -> None:
    keys = {"token_url": oauth_server.token_url, "redirect_uri": "https://app.example/cb"}
    app = {"application_id": "app-7", "seller_tld": "de"}
    set_connection("crm", connection_to("amazon-sp-api", **keys, **app))
    body = '{"access_token": "at", "refresh_token": "rt", "expires_in": 3600}'
    headers = {"Content-Type": "application/json"}
    oauth_server.faults.add(Fault("/oauth/token", 200, headers, body))
    said: list[str] = []

    def person() -> str:
        page = urlsplit(next(word for text in said for word in text.split() if "?" in word))
        sent = dict(parse_qsl(page.query))
        assert (page.netloc, sent["application_id"]) == ("sellercentral.amazon.de", "app-7")
        assert "code_challenge" not in sent
        return f"https://app.example/cb?spapi_oauth_code=ANx7&state={sent['state']}"

    log_in_by_paste(managed_grant("crm"), LoginOptions(), said.append, person)
    (trade,) = oauth_server.requests
    assert trade.form["code"] == "ANx7"
    assert "code_verifier" not in trade.form
