"""RFC 7009 against a real server."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.revocation import revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.testing import OAuthTestServer


def ask(server: OAuthTestServer, token: str) -> None:
    client = Client(server.client_id, server.client_secret)
    endpoint = TokenEndpoint(server.token_url, client, conn_id="crm")
    options = GrantOptions(headers={"X-Tenant": "a"}, body="json")
    revoke(endpoint, f"{server.base_url}/oauth/revoke", token, "refresh_token", options)


def test_a_refresh_token_ends_its_family(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_refresh_token()
    ask(oauth_server, token)
    family = oauth_server.state.family(token)
    assert family is not None
    assert family.revoked
    (call,) = oauth_server.requests
    assert call.form == {"token": token, "token_type_hint": "refresh_token"}
    assert call.headers["X-Tenant"] == "a"
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_an_unknown_token_counts_as_ended(oauth_server: OAuthTestServer) -> None:
    ask(oauth_server, "nobody-knows-it")
    assert oauth_server.requests[0].status == 200


@pytest.mark.parametrize(
    ("answered", "kind", "reason"),
    [
        (
            {"status": 400, "body": '{"error": "unsupported_token_type"}'},
            TokenRequestRejected,
            "unsupported_token_type",
        ),
        (
            {"status": 503, "headers": {"Retry-After": "7"}},
            TokenEndpointUnavailable,
            "Endpoint unavailable (HTTP 503) for connection 'crm' at ",
        ),
        (
            {"status": 404, "body": "the-token"},
            TokenRequestRejected,
            "/oauth/revoke. Check the grant, scope and client registration in the connection.",
        ),
        (
            {"status": 302, "headers": {"Location": "https://id.example/revoke"}},
            ConnectionConfigError,
            "/oauth/revoke redirects (HTTP 302) to https://id.example/revoke in connection 'crm'. Credentials are never "
            "sent after a redirect: set it to the final address.",
        ),
    ],
)
def test_refusals_are_named_without_the_token(
    oauth_server: OAuthTestServer,
    answered: dict[str, Any],
    kind: type[OAuthTaskflowError],
    reason: str,
) -> None:
    oauth_server.fault("/oauth/revoke", **answered)
    with pytest.raises(kind) as caught:
        ask(oauth_server, "the-token")
    assert reason in str(caught.value)
    assert "the-token" not in str(caught.value)
    assert caught.value.retry_after == (7 if answered["status"] == 503 else None)
