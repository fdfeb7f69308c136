"""Quirks of named providers, each on the wire: what their preset makes a connection send, and how it reads the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from oauth_taskflow.connections.api_address import with_base_url
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import (
    ConnectionConfigError,
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.broker.protocol import build_token_answer
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from oauth_taskflow.testing import Fault, LoggedRequest, OAuthTestServer
from tests.connections.samples import kind
from tests.oauth.keys import pem_of, public_pem_of

REFRESH = {"refresh_token": "rt-0"}
KEYS = {
    "atlassian": {"cloud_id": "11223344-a1b2-3b33-c444-def123456789"},
    "auth0": {"domain": "acme.eu.auth0.com"},
}


@dataclass(frozen=True)
class Exchange:
    """One token request of a provider's connection: what arrived, and how its response was read."""

    settings: ConnectionSettings
    request: LoggedRequest
    outcome: Outcome

    @property
    def granted(self) -> Granted:
        assert isinstance(self.outcome, Granted)
        return self.outcome

    @property
    def token(self) -> Token:
        return self.granted.token

    @property
    def lifetime(self) -> float | None:
        end = self.token.expires_at
        return None if end is None else end - self.token.obtained_at

    @property
    def error(self) -> OAuthTaskflowError:
        assert not isinstance(self.outcome, Granted)
        return self.outcome.error


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


def exchange(
    server: OAuthTestServer,
    provider: str,
    answer: dict[str, Any],
    extra: dict[str, Any] | None = None,
    status: int = 200,
    **fields: Any,
) -> Exchange:
    """Ask ``server`` in the place of ``provider``, which answers ``answer``."""
    server.clear_log()
    headers = {"Content-Type": "application/json"}
    server.faults.add(Fault("/oauth/token", status, headers, json.dumps(answer)))
    keys = {"provider": provider, "token_url": server.token_url, **(extra or {})}
    settings = parse_connection(kind("oauth2", keys, **{"host": "https://api.test", **fields}))
    assert isinstance(settings.auth, OAuth2Settings)
    outcome = token_endpoint(settings, settings.auth).exchange(grant(settings.auth))
    request = server.requests[0]
    return Exchange(settings, request, outcome)


def test_slack_says_ok_false_with_status_200(server: OAuthTestServer) -> None:
    dead = exchange(server, "slack", {"ok": False, "error": "invalid_refresh_token"}, REFRESH)
    assert isinstance(dead.error, InvalidGrant)
    wrong = exchange(server, "slack", {"ok": False, "error": "invalid_client_id"}, REFRESH)
    assert isinstance(wrong.error, InvalidClient)
    good = exchange(
        server, "slack", {"ok": True, "access_token": "xoxe", "token_type": "bot"}, REFRESH
    )
    assert good.token.access_token == "xoxe"


def test_slack_nests_the_users_token(server: OAuthTestServer) -> None:
    user = {"access_token": "xoxp-1", "refresh_token": "xoxe-1", "expires_in": 43200, "id": "U1"}
    first = exchange(server, "slack-user", {"ok": True, "authed_user": user}, REFRESH)
    assert (first.token.access_token, first.granted.refresh_token) == ("xoxp-1", "xoxe-1")
    assert first.lifetime == 43200
    assert first.token.extras["authed_user"] == {"expires_in": 43200, "id": "U1"}
    flat = {"ok": True, "access_token": "xoxp-2", "token_type": "user", "expires_in": 60}
    assert exchange(server, "slack-user", flat, REFRESH).lifetime == 60


def test_zoho_sends_errors_with_status_200_and_names_its_api(server: OAuthTestServer) -> None:
    assert isinstance(
        exchange(server, "zoho", {"error": "invalid_code"}, REFRESH).error, InvalidGrant
    )
    assert isinstance(
        exchange(server, "zoho", {"error": "invalid_client_secret"}, REFRESH).error, InvalidClient
    )
    for centre in ("eu", "uk", "ae", "com.au"):
        home = f"https://www.zohoapis.{centre}"
        answer = {"access_token": "at", "api_domain": home, "expires_in": 3600}
        good = exchange(server, "zoho", answer, {**REFRESH, "data_centre": centre}, host="")
        assert good.settings.base_url == ""
        assert with_base_url(good.settings, good.token).base_url == home


def test_notion_wants_json_and_its_version_and_names_no_lifetime(server: OAuthTestServer) -> None:
    found = exchange(server, "notion", {"access_token": "at", "bot_id": "b"}, REFRESH)
    assert json.loads(found.request.body) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-0",
    }
    assert found.request.headers["Content-Type"] == "application/json"
    assert found.request.headers["Notion-Version"] == "2022-06-28"
    assert found.request.headers["Authorization"].startswith("Basic ")
    assert found.lifetime is None


def test_square_names_the_instant_at_which_a_token_ends(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "expires_at": "2099-01-01T00:00:00Z", "expires_in": 1}
    assert exchange(server, "square", answer, REFRESH).token.expires_at == pytest.approx(
        4070908800, abs=5
    )


def test_tiktok_calls_the_client_id_client_key(server: OAuthTestServer) -> None:
    found = exchange(server, "tiktok", {"access_token": "at", "expires_in": 86400}, REFRESH)
    assert found.request.form == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-0",
        "client_key": "client",
        "client_secret": "s3cret-of-client",
    }


def test_tiktok_ads_wraps_its_answers(server: OAuthTestServer) -> None:
    wrapped = {"code": 0, "message": "OK", "data": {"access_token": "at", "scope": [4]}}
    found = exchange(server, "tiktok-ads", wrapped, REFRESH)
    client = {"app_id": "client", "secret": "s3cret-of-client"}
    assert json.loads(found.request.body) == {"refresh_token": "rt-0", **client}
    assert found.token.access_token == "at"
    failed = {"code": 40105, "message": "Access token is incorrect", "data": {}}
    error = exchange(server, "tiktok-ads", failed, REFRESH).error
    assert "(invalid_grant, HTTP 200): Access token is incorrect" in str(error)


def test_marketo_is_asked_by_get_with_everything_in_the_query(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "expires_in": 1200}
    found = exchange(server, "marketo", answer, {"munchkin": "123-ABC-456"})
    assert found.request.method == "GET"
    assert found.request.params == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "s3cret-of-client",
    }
    assert found.lifetime == 1200


def test_gong_wants_the_query_an_empty_body_and_basic_alone(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "api_base_url_for_customer": "https://acme.api.gong.io"}
    found = exchange(server, "gong", answer, REFRESH, host="")
    assert (found.request.method, found.request.body) == ("POST", "")
    assert found.request.params == {"grant_type": "refresh_token", "refresh_token": "rt-0"}
    assert with_base_url(found.settings, found.token).base_url == "https://acme.api.gong.io"


def test_salesforce_names_the_api_and_the_broker_hands_that_on(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "instance_url": "https://acme.my.salesforce.com"}
    found = exchange(server, "salesforce", answer, REFRESH, host="")
    assert found.lifetime is None
    assert with_base_url(found.settings, found.token).base_url == "https://acme.my.salesforce.com"
    brokered = build_token_answer(found.settings, found.token, 0.0)
    assert brokered["host"] == "https://acme.my.salesforce.com"


def test_salesforce_names_the_end_of_a_token_only_if_asked() -> None:
    extra = {"provider": "salesforce", "domain": "acme.my", **REFRESH}
    settings = parse_connection(kind("oauth2", extra, host=""))
    assert isinstance(settings.auth, OAuth2Settings)
    endpoint = token_endpoint(settings, settings.auth)
    assert endpoint.introspect_url == "https://acme.my.salesforce.com/services/oauth2/introspect"
    assert endpoint.dialect.response.expiry.source == "introspection"


def test_meta_trades_its_own_token_for_the_next_one(server: OAuthTestServer) -> None:
    answer = {"access_token": "long-1", "token_type": "bearer", "expires_in": 5183944}
    found = exchange(server, "meta", answer, REFRESH)
    assert found.request.params == {
        "grant_type": "fb_exchange_token",
        "fb_exchange_token": "rt-0",
        "client_id": "client",
        "client_secret": "s3cret-of-client",
    }
    assert (found.token.access_token, found.granted.refresh_token) == ("long-1", "long-1")
    ended = {"error": {"message": "Session has expired", "type": "OAuthException", "code": 190}}
    assert isinstance(exchange(server, "meta", ended, REFRESH, 400).error, InvalidGrant)


def test_instagram_sends_the_token_and_nothing_of_the_client(server: OAuthTestServer) -> None:
    extra = {**REFRESH, "client_auth": "none"}
    found = exchange(server, "instagram", {"access_token": "ig"}, extra, password="")
    assert found.request.params == {"grant_type": "ig_refresh_token", "access_token": "rt-0"}


def test_zoom_has_its_own_grant(server: OAuthTestServer) -> None:
    extra = {"account_id": "Acc_1"}
    found = exchange(server, "zoom-server-to-server", {"access_token": "at"}, extra)
    assert found.request.form == {"grant_type": "account_credentials", "account_id": "Acc_1"}


def test_ebay_has_its_own_token_types(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "token_type": "Application Access Token", "expires_in": 7200}
    found = exchange(server, "ebay", answer)
    assert found.request.form["scope"] == "https://api.ebay.com/oauth/api_scope"
    assert found.token.access_token == "at"


def test_ups_writes_numbers_as_text(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "expires_in": "14399", "issued_at": "1", "status": "approved"}
    found = exchange(server, "ups", answer, {"merchant_id": "A1B2C3"})
    assert found.request.headers["X-Merchant-Id"] == "A1B2C3"
    assert found.lifetime == 14399


def test_mailchimps_lifetime_of_zero_means_without_end(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "expires_in": 0}
    assert exchange(server, "mailchimp", answer, {"dc": "us19"}).lifetime is None


def test_reddit_wants_a_user_agent(server: OAuthTestServer) -> None:
    found = exchange(server, "reddit", {"access_token": "at"})
    assert found.request.headers["User-Agent"] == "oauth-taskflow"


def test_figma_refreshes_at_another_address() -> None:
    extra = {"provider": "figma", **REFRESH}
    settings = parse_connection(kind("oauth2", extra, host=""))
    assert isinstance(settings.auth, OAuth2Settings)
    asked = token_endpoint(settings, settings.auth).describe_request(grant(settings.auth))
    assert asked.url == "https://api.figma.com/v1/oauth/refresh"


def test_wrike_names_the_host_of_its_api_without_a_scheme(server: OAuthTestServer) -> None:
    answer = {"access_token": "at", "host": "app-eu.wrike.com"}
    found = exchange(server, "wrike", answer, REFRESH, host="")
    assert with_base_url(found.settings, found.token).base_url == "https://app-eu.wrike.com/api/v4"
    silent = exchange(server, "wrike", {"access_token": "at"}, REFRESH, host="")
    with pytest.raises(ConnectionConfigError, match="names no API address"):
        with_base_url(silent.settings, silent.token)


def test_netsuite_wants_the_scope_inside_the_clients_jwt(server: OAuthTestServer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    own = {"account": "1234567-sb1", "private_key": pem_of(key), "key_id": "certificate-1"}
    answer = {"access_token": "at", "expires_in": "3600", "token_type": "bearer"}
    scope = {"scope": "restlets rest_webservices"}
    form = dict(exchange(server, "netsuite", answer, own | scope, password=None).request.form)
    signed = jwt.decode(form["client_assertion"], ECKey.import_key(public_pem_of(key)))
    assert signed.claims["scope"] == ["restlets", "rest_webservices"]
    assert (signed.header["alg"], signed.header["kid"]) == ("ES256", "certificate-1")
    assert "scope" not in form
    assert "scope" in dict(
        exchange(server, "netsuite", answer, {**scope, "account": "1"}).request.form
    )


@pytest.mark.parametrize(
    ("provider", "status", "answer", "kind"),
    [
        ("fitbit", 400, {"success": False, "errors": [{"errorType": "invalid_grant"}]}, InvalidGrant),
        ("fitbit", 401, {"success": False, "errors": [{"errorType": "invalid_client"}]}, InvalidClient),
        ("strava", 400, {"message": "Bad Request", "errors": [{"resource": "RefreshToken", "code": "invalid"}]}, InvalidGrant),
        ("strava", 400, {"message": "Bad Request", "errors": [{"resource": "Application", "code": "invalid"}]}, InvalidClient),
        ("atlassian", 403, {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}, InvalidGrant),
        ("atlassian", 403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}, InvalidGrant),
        ("atlassian", 401, {"error": "access_denied", "error_description": "Unauthorized"}, InvalidClient),
        ("auth0", 401, {"error": "access_denied", "error_description": "Unauthorized"}, InvalidClient),
        ("auth0", 403, {"error": "access_denied", "error_description": "User did not agree"}, ConsentRequired),
        ("withings", 200, {"status": 503, "error": "Invalid Params: invalid refresh_token"}, InvalidGrant),
        ("zoho", 400, {"error": "Access Denied", "error_description": "Too many requests"}, TokenEndpointUnavailable),
    ],
)  # fmt: skip
def test_a_refusal_in_the_providers_own_words_is_understood(
    server: OAuthTestServer,
    provider: str,
    status: int,
    answer: dict[str, Any],
    kind: type[OAuthTaskflowError],
) -> None:
    found = exchange(server, provider, answer, {**REFRESH, **KEYS.get(provider, {})}, status)
    assert type(found.error) is kind
