"""Pulls through connections that name a provider and its keys only: what goes to the token endpoint, and with what to the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import Fault, LoggedRequest, OAuthTestServer
from tests.taskflow.conftest import SetConnection

JSON = {"Content-Type": "application/json"}
CLIENT = {"client_id": "me", "client_secret": "s3cret-of-client"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "rt-0"}
ALONE = {"grant_type": "client_credentials"}
BASIC = "Basic bWU6czNjcmV0LW9mLWNsaWVudA=="
BEARER = {"Authorization": "Bearer at-1"}


@dataclass(frozen=True)
class Pull:
    """``sent`` goes to the token endpoint, by Basic where it names no client; ``api`` are headers of the API request.

    ``keys`` are those of the connection, plus a refresh token if ``sent`` has one; ``answer`` is what the token
    endpoint says in addition to ``at-1``.
    """

    sent: dict[str, str]
    api: dict[str, str] = field(default_factory=lambda: BEARER)
    keys: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=lambda: {"access_token": "at-1"})


PULLS = {
    "adobe": Pull(
        {**ALONE, "scope": "openid,AdobeID", **CLIENT},
        {**BEARER, "X-Api-Key": "me"},
        {"scope": "openid AdobeID"},
    ),
    "amazon-ads": Pull(
        {**REFRESH, **CLIENT},
        {
            **BEARER,
            "Amazon-Advertising-Api-Clientid": "me",
            "Amazon-Advertising-Api-Scope": "77",
        },
        {"profile_id": 77},
    ),
    "amazon-sp-api": Pull({**REFRESH, **CLIENT}, {"X-Amz-Access-Token": "at-1"}),
    "bamboohr": Pull({**REFRESH, "request": "token", **CLIENT}, keys={"subdomain": "acme"}),
    "bigcommerce": Pull(
        {**REFRESH, **CLIENT}, {"X-Auth-Token": "at-1"}, {"store_hash": "hpj4hvw2bb"}
    ),
    "box": Pull(
        {**ALONE, "box_subject_type": "enterprise", "box_subject_id": "5", **CLIENT},
        keys={"box_subject_type": "enterprise", "box_subject_id": "5"},
        answer={"access_token": "at-1", "issued_token_type": "x", "restricted_to": []},
    ),
    "deel": Pull(
        {**REFRESH, "redirect_uri": "https://x.example/cb"},
        keys={"refresh_redirect_uri": "https://x.example/cb"},
    ),
    "google-ads": Pull(
        {**REFRESH, **CLIENT},
        {**BEARER, "Developer-Token": "Dev-1", "Login-Customer-Id": "1234567890"},
        {"developer_token": "Dev-1", "login_customer_id": "1234567890"},
    ),
    "harvest": Pull(
        {**REFRESH, **CLIENT}, {**BEARER, "Harvest-Account-Id": "9"}, {"account_id": "9"}
    ),
    "klaviyo": Pull(REFRESH, {**BEARER, "Revision": "2026-10-15"}),
    "microsoft-ads": Pull(
        {**REFRESH, **CLIENT},
        {**BEARER, "Developertoken": "ABC1", "Customerid": "1", "Customeraccountid": "2"},
        {"developer_token": "ABC1", "customer_id": 1, "customer_account_id": 2},
    ),
    "microsoft-dynamics": Pull(
        {**ALONE, "scope": "https://contoso.crm4.dynamics.com/.default", **CLIENT},
        keys={"tenant": "contoso", "dynamics_host": "contoso.crm4.dynamics.com"},
    ),
    "microsoft-entra-v1": Pull(
        {**ALONE, "resource": "https://graph.windows.net", **CLIENT},
        keys={"tenant": "contoso", "resource": "https://graph.windows.net"},
        answer={"access_token": "at-1", "expires_in": "3599", "expires_on": "4070908800"},
    ),
    "sap-ariba": Pull(
        {"grant_type": "openapi_2lo"},
        {**BEARER, "Apikey": "key-1"},
        {"api_headers": {"apiKey": "key-1"}},
    ),
    "shopify": Pull(
        {**ALONE, "expiring": "1", **CLIENT},
        {"X-Shopify-Access-Token": "at-1"},
        {"shop": "acme"},
    ),
    "snowflake": Pull(
        {**REFRESH, "redirect_uri": "https://x.example/cb"},
        {**BEARER, "X-Snowflake-Authorization-Token-Type": "OAUTH"},
        {"account": "org-acme", "refresh_redirect_uri": "https://x.example/cb"},
    ),
    "tiktok-ads": Pull(
        {"refresh_token": "rt-0", "app_id": "me", "secret": "s3cret-of-client"},
        {"Access-Token": "at-1"},
        answer={"code": 0, "message": "OK", "data": {"access_token": "at-1"}},
    ),
    "twitch": Pull({**ALONE, **CLIENT}, {**BEARER, "Client-Id": "me"}),
    "withings": Pull(
        {**REFRESH, "action": "requesttoken", **CLIENT},
        answer={"status": 0, "body": {"access_token": "at-1", "expires_in": 10800}},
    ),
    "xero": Pull(
        REFRESH,
        {**BEARER, "Xero-Tenant-Id": "3f5c1a2e-0000-4000-8000-000000000000"},
        {"xero_tenant_id": "3f5c1a2e-0000-4000-8000-000000000000"},
    ),
    "zendesk": Pull({**REFRESH, "expires_in": "1800", **CLIENT}, keys={"subdomain": "acme"}),
    "zoho": Pull({**REFRESH, **CLIENT}, {"Authorization": "Zoho-oauthtoken at-1"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


def send_one_pull(
    server: OAuthTestServer, set_connection: SetConnection, provider: str
) -> tuple[LoggedRequest, LoggedRequest]:
    """The token request and the API request that one call causes."""
    pull = PULLS[provider]
    server.clear_log()
    server.faults.add(Fault("/oauth/token", 200, JSON, json.dumps(pull.answer)))
    server.faults.add(Fault("/rows", 200, JSON, "[]"))
    extra = {"provider": provider, "token_url": server.token_url, **pull.keys}
    if "refresh_token" in pull.sent:
        extra["refresh_token"] = "rt-0"
    whole = {"conn_type": "oauth2", "host": server.base_url, "extra": extra}
    client = {"login": "me", "password": "s3cret-of-client"}
    with open_session(set_connection(provider.replace("-", "_"), {**whole, **client})) as session:
        assert session.get("/rows").json() == []
    token, api = server.requests
    return token, api


@pytest.mark.parametrize("provider", PULLS)
def test_the_wire_is_as_the_provider_documents_it(
    server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path, provider: str
) -> None:
    pull = PULLS[provider]
    token, api = send_one_pull(server, set_connection, provider)
    sent = json.loads(token.body) if token.headers["Content-Type"] in JSON.values() else token.form
    assert sent == pull.sent
    by_basic = None if {"client_id", "app_id"} & pull.sent.keys() else BASIC
    assert token.headers.get("Authorization") == by_basic
    assert {name: api.headers.get(name) for name in pull.api} == pull.api
    assert "Authorization" in pull.api or "Authorization" not in api.headers
