"""``airflow oauth revoke`` at providers that deviate from RFC 7009: the requests, and how responses are read."""

from __future__ import annotations

import base64
import json
from argparse import Namespace
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.taskflow.cli.grants import revoke
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.testing import LoggedRequest, OAuthTestServer
from oauth_taskflow.tokens.state.record import GrantRecord
from tests.taskflow.cli.login_runs import arguments
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.usefixtures("own_store")
PLACE = "/end/it"
BASIC = "Basic " + base64.b64encode(b"test-client:test-secret").decode()
PROOF = RequestProof(name="p").compute("access-token-1", "test-secret")
CLIENT = {"client_id": "test-client", "client_secret": "test-secret"}


@dataclass(frozen=True)
class Wire:
    """The expected request; ``@`` is the token. ``said`` is the provider's response on success."""

    method: str = "POST"
    query: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    json: dict[str, str] | None = None
    authorization: str | None = None
    said: Any = None


ALL = {
    "dropbox": Wire(authorization="Bearer @"),
    "github": Wire("DELETE", json={"access_token": "@"}, authorization=BASIC),
    "google": Wire(form={"token": "@"}),
    "google-ads": Wire(form={"token": "@"}),
    "hubspot": Wire(form={"token": "@", "token_type_hint": "refresh_token", **CLIENT}),
    "meta": Wire(
        "DELETE",
        query={"appsecret_proof": PROOF},
        authorization="Bearer @",
        said={"success": True},
    ),
    "miro": Wire(query={"access_token": "@"}),
    "notion": Wire(json={"token": "@"}, authorization=BASIC),
    "quickbooks": Wire(json={"token": "@"}, authorization=BASIC),
    "servicenow": Wire("GET", query={"token": "@"}),
    "slack": Wire(authorization="Bearer @", said={"ok": True, "revoked": True}),
    "slack-user": Wire(authorization="Bearer @", said={"ok": True, "revoked": True}),
    "square": Wire(
        json={"client_id": "test-client", "access_token": "@"},
        authorization="Client test-secret",
        said={"success": True},
    ),
    "tiktok": Wire(
        form={"token": "@", "client_key": "test-client", "client_secret": "test-secret"}
    ),
    "tiktok-ads": Wire(
        json={"access_token": "@", "app_id": "test-client", "secret": "test-secret"},
        said={"code": 0, "message": "OK", "data": {}},
    ),
    "twitch": Wire(form={"token": "@", "client_id": "test-client"}),
    "webflow": Wire(json={"access_token": "@", **CLIENT}, said={"did_revoke": True}),
    "zoho": Wire(query={"token": "@"}, said={"status": "success"}),
    "zoom": Wire(query={"token": "@"}, authorization=BASIC, said={"status": "success"}),
}
KEYS = {
    "google-ads": {"developer_token": "Dev-1"},
    "quickbooks": {"realm_id": "1"},
    "servicenow": {"instance": "dev1"},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(oauth_server: OAuthTestServer) -> OAuthTestServer:
    return oauth_server


def connect(
    server: OAuthTestServer, set_connection: SetConnection, provider: str, **extra: Any
) -> None:
    """A connection to ``provider``, whose endpoints are those of ``server``, with a refresh token that works."""
    fields = {
        "provider": provider,
        "refresh_token": "first-refresh-token",
        "revoke_url": server.base_url + PLACE,
        **KEYS.get(provider, {}),
        **extra,
    }
    set_connection("crm", server.connection(**fields))


def answer_token_request(server: OAuthTestServer, provider: str, **more: Any) -> None:
    """The next token request is answered with ``access-token-1``, as ``provider`` words it."""
    plain = {"access_token": "access-token-1", "expires_in": 3600, "ok": True, "code": 0, **more}
    plain["data"] = {"access_token": "access-token-1"}
    for path in ("/oauth/token", "/refresh"):
        server.fault(path, status=200, headers=JSON, body=json.dumps(plain))


def answer_revocation(
    server: OAuthTestServer, said: Any = None, status: int = 200, times: int = 1
) -> None:
    body = "" if said is None else json.dumps(said)
    server.fault(PLACE, status=status, headers=JSON if body else {}, body=body, times=times)


def list_revocations(server: OAuthTestServer) -> list[LoggedRequest]:
    """Lists the requests to the revocation endpoint."""
    return [one for one in server.requests if one.path == PLACE]


def run(capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    revoke(Namespace(conn_id="crm", output="json"))
    return json.loads(capsys.readouterr().out.splitlines()[-1])[0]["state"]


def run_failing(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        run(capsys)
    assert caught.value.code == 1
    return capsys.readouterr().err


def put(token: str, expected: Any) -> Any:
    return json.loads(json.dumps(expected).replace("@", token))


def test_every_preset_with_its_own_revocation_is_tested_here() -> None:
    rfc = {"url", "tokens"}
    own = {
        name
        for name in preset_names()
        if set(_own_fields(name)) - rfc or name == "hubspot"  # in the RFC's way, of one kind only
    }
    assert sorted(ALL) == sorted(own)


def _own_fields(name: str) -> list[str]:
    form = load_preset(name).revoke
    usual = type(form)()
    return [one for one in form.__struct_fields__ if getattr(form, one) != getattr(usual, one)]


@pytest.mark.parametrize("provider", ALL)
def test_the_request_is_what_the_provider_documents(
    server: OAuthTestServer,
    set_connection: SetConnection,
    capsys: pytest.CaptureFixture[str],
    provider: str,
) -> None:
    connect(server, set_connection, provider)
    answer_token_request(server, provider)
    wire, kinds = ALL[provider], load_preset(provider).revoke.tokens
    answer_revocation(server, wire.said, times=2)
    assert run(capsys) == "revoked"
    (call,) = list_revocations(server)
    token = "access-token-1" if kinds == "access_token" else "first-refresh-token"
    assert call.method == wire.method
    assert call.params == put(token, wire.query)
    if wire.json is None:
        assert call.form == put(token, wire.form)
    else:
        assert json.loads(call.body) == put(token, wire.json)
        assert call.headers["Content-Type"] == "application/json"
    assert call.headers.get("Authorization") == put(token, wire.authorization)


def test_a_request_without_parameters_has_no_body_and_no_content_type(
    server: OAuthTestServer, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(server, set_connection, "dropbox")
    answer_token_request(server, "dropbox")
    answer_revocation(server)
    run(capsys)
    (call,) = list_revocations(server)
    assert (call.body, call.headers.get("Content-Type")) == ("", None)


def test_notions_version_travels_with_a_revocation_too(
    server: OAuthTestServer, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(server, set_connection, "notion")
    answer_token_request(server, "notion")
    answer_revocation(server)
    run(capsys)
    assert list_revocations(server)[0].headers["Notion-Version"] == "2022-06-28"


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("slack", {"ok": False, "error": "invalid_auth"}),
        ("slack", {"ok": True, "revoked": False}),
        ("square", {"errors": [{"code": "UNAUTHORIZED"}]}),
        ("tiktok-ads", {"code": 40001, "message": "no"}),
        ("webflow", {"did_revoke": False}),
        ("zoho", {"status": "failure"}),
        ("zoom", None),
    ],
)
def test_a_200_response_that_reports_failure_keeps_the_grant(
    server: OAuthTestServer,
    set_connection: SetConnection,
    capsys: pytest.CaptureFixture[str],
    provider: str,
    said: Any,
) -> None:
    connect(server, set_connection, provider)
    answer_token_request(server, provider)
    answer_revocation(server, said)
    message = run_failing(capsys)
    assert "HTTP 200" in message
    assert "access-token-1" not in message
    assert "first-refresh-token" not in message
    answer_revocation(server, ALL[provider].said)
    answer_token_request(server, provider)
    assert run(capsys) == "revoked"


def test_slacks_own_error_code_is_printed(
    server: OAuthTestServer, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(server, set_connection, "slack")
    answer_token_request(server, "slack")
    answer_revocation(server, {"ok": False, "error": "account_inactive"})
    assert "account_inactive" in run_failing(capsys)


def test_a_valid_access_token_is_fetched_where_the_server_revokes_by_it_only(
    server: OAuthTestServer, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(server, set_connection, "slack")
    answer_token_request(server, "slack", refresh_token="refresh-token-1")
    grant = load_managed_grant("crm")
    grant.manager.token()
    grant.store.change(grant.manager.stored.read(), _expire)
    connect(server, set_connection, "slack", leeway=7)  # as another process: nothing is in memory
    answer_token_request(
        server, "slack", access_token="access-token-2", refresh_token="refresh-token-2"
    )
    answer_revocation(server, {"ok": True, "revoked": True})
    assert run(capsys) == "revoked"
    assert [one.headers["Authorization"] for one in list_revocations(server)] == [
        "Bearer access-token-2"
    ]


def _expire(record: GrantRecord) -> GrantRecord:
    assert record.token is not None
    return replace(record, token=replace(record.token, expires_at=1.0))


def test_an_access_token_revoked_together_with_its_refresh_token_counts_as_revoked(
    server: OAuthTestServer, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(server, set_connection, "google")
    answer_token_request(server, "google")
    load_managed_grant("crm").manager.token()
    answer_revocation(server, {})
    answer_revocation(server, {"error": "invalid_token"}, status=400)
    assert run(capsys) == "revoked"
    assert [one.form["token"] for one in list_revocations(server)] == [
        "first-refresh-token",
        "access-token-1",
    ]


@pytest.mark.parametrize("provider", ["google", "google-ads", "github", "meta", "square"])
def test_a_login_does_not_revoke_the_old_grant_where_that_would_end_the_new_one(
    server: OAuthTestServer,
    set_connection: SetConnection,
    capsys: pytest.CaptureFixture[str],
    provider: str,
) -> None:
    connect(server, set_connection, provider)
    with pytest.raises(SystemExit):
        login(arguments(revoke_old=True))
    assert "ends every grant of person and client at once" in capsys.readouterr().err
    assert server.requests == []
