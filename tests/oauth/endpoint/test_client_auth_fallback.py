"""Servers that document two client authentication methods and take one of them."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator

import pytest

from oauth_taskflow.errors import InvalidClient, InvalidGrant
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint import client_auth_fallback
from oauth_taskflow.oauth.endpoint.client_auth_fallback import FallbackClientAuth
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from tests.support.clock import FakeClock


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    """It takes the secret in the body only."""
    with OAuthTestServer(client_auth=("client_secret_post",)) as running:
        yield running


def either(server: OAuthTestServer, secret: str = "", **fields: object) -> FallbackClientAuth:
    client = Client(server.client_id, secret or server.client_secret)
    plain = TokenEndpoint(server.token_url, client, conn_id="crm", **fields)  # type: ignore[arg-type]
    return FallbackClientAuth.from_endpoint(plain, other_auth="client_secret_post")


def test_a_refresh_token_survives_the_refusal_of_the_first_method(
    server: OAuthTestServer, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = either(server).exchange(RefreshToken(server.issue_refresh_token()))
    assert isinstance(outcome, Granted)
    assert [call.status for call in server.requests] == [401, 200]
    assert server.counters.reuse_detected == 0
    assert caplog.messages == [
        "connection crm: client_secret_basic was refused and client_secret_post accepted; set client_auth to it, "
        "which saves a request"
    ]


def test_each_method_is_tried_once(server: OAuthTestServer) -> None:
    outcome = either(server, "wrong").exchange(ClientCredentials())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, InvalidClient)
    assert len(server.requests) == 2


def test_whatever_else_is_refused_is_not_sent_again() -> None:
    with OAuthTestServer() as server:
        outcome = either(server).exchange(RefreshToken("unknown"))
        assert isinstance(outcome, Rejected)
        assert isinstance(outcome.error, InvalidGrant)
        assert len(server.requests) == 1


def test_without_time_left_the_first_refusal_is_returned(
    server: OAuthTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_auth_fallback, "_LEAST_TIME_TO_SEND", 60.0)
    under_test = either(server, clock=FakeClock(time.time()))
    assert isinstance(under_test.exchange(ClientCredentials()), Rejected)
    assert len(server.requests) == 1


def test_both_methods_prove_the_same_key(server: OAuthTestServer) -> None:
    server.dpop.required = True
    outcome = either(server, dpop="ES256").exchange(ClientCredentials())
    assert isinstance(outcome, Granted)
    heads = [call.headers["Dpop"].partition(".")[0] for call in server.requests]
    keys = [json.loads(urlsafe_b64decode(head + "==="))["jwk"] for head in heads]
    assert len(keys) == 2
    assert keys[0] == keys[1]
