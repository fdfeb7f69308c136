"""A client secret that is a word of the protocol: codes are compared as they came, and redacted when they are shown."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import InvalidGrant, TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.revocation import revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.oauth.login.device import DeviceAuthorization, wait_for_device
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantState
from tests.oauth.raw_server import answering, answering_each, http_answer, raw_server
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import clock, store

__all__ = ["clock", "store"]  # fixtures of the token tests

WORDS = ["invalid_grant", "token", "error", "slow_down", "invalid_token", "invalid", "grant", "e"]
EVERY_WORD = pytest.mark.parametrize("secret", WORDS)


def endpoint(place: str, secret: str, clock: FakeClock | None = None) -> TokenEndpoint:
    """A token endpoint at ``place``, asked by a client with that secret."""
    asked = TokenEndpoint(f"http://{place}/token", Client("me", secret), conn_id="crm")
    return replace(asked, clock=clock) if clock else asked


def refusal(code: str, text: str = "") -> bytes:
    """The answer of a server that refuses."""
    return http_answer(400, json.dumps({"error": code, "error_description": text}).encode())


@EVERY_WORD
@pytest.mark.parametrize("code", ["invalid_token", "invalid_grant"])
def test_a_token_that_has_ended_counts_as_revoked(secret: str, code: str) -> None:
    with raw_server(answering(refusal(code))) as place:
        asked = endpoint(place, secret)
        revoke(asked, f"http://{place}/revoke", "rt", "refresh_token", GrantOptions())


@EVERY_WORD
def test_a_dead_refresh_token_is_known_as_dead(store: ClockedStore, secret: str) -> None:
    with raw_server(answering(refusal("invalid_grant"))) as place:
        asked, clock = endpoint(place, secret), store._clock
        manager = TokenManager.for_grant(store, asked, RefreshToken("rt"), clock=clock)
        with pytest.raises(InvalidGrant) as raised:
            manager.token()
    assert raised.value.error == "invalid_grant"
    assert manager.stored.read().state is GrantState.NEEDS_CONSENT


@EVERY_WORD
def test_a_device_is_waited_for_at_the_servers_pace(clock: FakeClock, secret: str) -> None:
    answers = [
        refusal("authorization_pending"),
        refusal("slow_down"),
        refusal("authorization_pending"),
        http_answer(200, b'{"access_token": "at", "token_type": "Bearer"}'),
    ]
    device = DeviceAuthorization("dc", "uc", "https://id.example.com", "", 600, 5)
    with raw_server(answering_each(answers)) as place:
        granted = wait_for_device(endpoint(place, secret, clock), device, GrantOptions())
    assert isinstance(granted, Granted)
    assert granted.token.access_token == "at"
    assert clock.slept == [5, 5, 10, 10]


def test_the_secret_is_in_no_text_and_the_code_is_kept_for_comparing() -> None:
    with raw_server(answering(refusal("invalid_scope", "the scope of invalid_scope"))) as place:
        outcome = endpoint(place, "invalid_scope").exchange(RefreshToken("rt"))
    assert isinstance(outcome, Rejected)
    error = outcome.error
    assert isinstance(error, TokenRequestRejected)
    assert error.error == "invalid_scope"
    assert "invalid_scope" not in str(error)
    assert str(error).startswith("Refresh token refused (***, HTTP 400): the scope of *** for")


def test_a_code_that_holds_the_secret_is_kept_without_it() -> None:
    with raw_server(answering(refusal("bad_hunter2"))) as place:
        outcome = endpoint(place, "hunter2").exchange(RefreshToken("rt"))
    assert isinstance(outcome, Rejected)
    assert "hunter2" not in repr(vars(outcome.error))
