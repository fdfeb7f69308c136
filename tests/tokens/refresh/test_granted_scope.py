"""A person may agree to less than the connection asks for; refreshes then ask for what there is (RFC 6749 §6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore

ASKED = "airports.read airports.write"


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


@pytest.fixture
def manager(server: OAuthTestServer, tmp_path: Path) -> TokenManager:
    """The grant of a connection that asks for two scopes."""
    store = SqlTokenStore(f"sqlite:///{tmp_path}/tokens.db", [Fernet.generate_key()])
    client = Client(server.client_id, server.client_secret)
    grant = RefreshToken("seed", GrantOptions(scope=ASKED))
    return TokenManager.for_grant(store, TokenEndpoint(server.token_url, client), grant)


def log_in(server: OAuthTestServer, manager: TokenManager, scope: str) -> str:
    """The person agrees to ``scope``; returns the access token."""
    client = Client(server.client_id, server.client_secret)
    agreed = RefreshToken(server.issue_refresh_token(scope=scope), GrantOptions(scope=scope))
    outcome = TokenEndpoint(server.token_url, client).exchange(agreed)
    assert isinstance(outcome, Granted)
    server.clear_log()
    manager.stored.expect_consent().store(outcome)
    return manager.token().access_token


def scopes_sent(server: OAuthTestServer) -> list[str | None]:
    return [one.form.get("scope") for one in server.requests if one.path == "/oauth/token"]


def test_a_refresh_refused_for_its_scope_requests_the_granted_scope(
    server: OAuthTestServer, manager: TokenManager
) -> None:
    old = log_in(server, manager, "airports.read")
    for _ in range(2):
        token = manager.renew(old)
        assert (token.access_token != old, token.scope) == (True, "airports.read")
        old = token.access_token
    assert scopes_sent(server) == [ASKED, "airports.read"] * 2
    assert server.counters.reuse_detected == 0


def test_with_everything_granted_the_connections_scope_is_requested(
    server: OAuthTestServer, manager: TokenManager
) -> None:
    manager.replace_refused(log_in(server, manager, ASKED))
    assert scopes_sent(server) == [ASKED]


def test_a_scope_that_is_refused_although_it_was_granted_is_an_error(
    server: OAuthTestServer, manager: TokenManager
) -> None:
    old = log_in(server, manager, ASKED)
    server.fault("/oauth/token", status=400, body='{"error": "invalid_scope"}', times=9)
    with pytest.raises(TokenRequestRejected, match="invalid_scope"):
        manager.replace_refused(old)
    assert scopes_sent(server) == [ASKED]


def test_a_smaller_scope_is_requested_once(server: OAuthTestServer, manager: TokenManager) -> None:
    old = log_in(server, manager, "airports.read")
    server.fault("/oauth/token", status=400, body='{"error": "invalid_scope"}', times=9)
    with pytest.raises(TokenRequestRejected, match="invalid_scope"):
        manager.replace_refused(old)
    assert scopes_sent(server) == [ASKED, "airports.read"]
