"""Tokens whose answer names no lifetime: the introspection endpoint of a real server is asked (RFC 7662)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import InvalidTokenResponse
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import Dialect, Expiry, ResponseDialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, GrantOptions, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.authorization import TokenPolicy
from oauth_taskflow.tokens.events import Event, Observer, Step, ignore_event
from oauth_taskflow.tokens.manager import TokenManager
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore

PATH = "/oauth/introspect"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def server(clock: FakeClock) -> Iterator[OAuthTestServer]:
    """A server that never says how long its tokens live: an hour."""
    with OAuthTestServer(clock=clock) as running:
        running.policy = TokenPolicy(lifetime=3600, names_lifetime=False)
        consent(running, "seed-1")
        yield running


def consent(server: OAuthTestServer, refresh_token: str) -> None:
    """A person agrees, and this is the refresh token."""
    server.state.start_family(server.client_id, "user", "", refresh_token)


def asking(
    server: OAuthTestServer,
    store: ClockedStore,
    observer: Observer = ignore_event,
    seed: str = "seed-1",
    **expiry: Any,
) -> TokenManager:
    """A worker of a grant at ``server`` that asks when tokens end."""
    rule = Expiry(source="introspection", **expiry)
    endpoint = TokenEndpoint(
        server.token_url,
        Client(server.client_id, server.client_secret),
        conn_id="crm",
        dialect=Dialect(response=ResponseDialect(expiry=rule)),
        introspect_url=server.base_url + PATH,
        clock=store._clock,
    )
    grant: Grant = RefreshToken(seed, GrantOptions(headers={"X-Tenant": "acme"}))
    return TokenManager.for_grant(store, endpoint, grant, clock=store._clock, observer=observer)


def count_lookups(server: OAuthTestServer) -> int:
    return sum(request.path == PATH for request in server.requests)


def revoke(server: OAuthTestServer, token: Token) -> None:
    server.state.revoke_access_tokens([token.access_token])


def test_one_worker_looks_up_the_expiry_for_all(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    first = asking(server, store).token()
    again = asking(server, store).token()
    assert (first.expires_at, again.expires_at) == (clock.now() + 3600,) * 2
    (question,) = [request for request in server.requests if request.path == PATH]
    assert question.form == {"token": first.access_token, "token_type_hint": "access_token"}
    assert question.headers["Authorization"].startswith("Basic ")
    assert question.headers["X-Tenant"] == "acme"
    assert server.counters.refreshes == 1


def test_a_token_is_not_used_past_the_end_that_was_named(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    worker = asking(server, store)
    first = worker.token()
    clock.advance(3600)
    second = worker.token()
    assert second.access_token != first.access_token
    assert second.expires_at == clock.now() + 3600
    assert (server.counters.refreshes, count_lookups(server)) == (2, 2)


def test_the_expiry_is_on_the_authorization_servers_clock(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    store._clock = FakeClock(clock.now() - 500)
    token = asking(server, store).token()
    assert token.expires_at == store._clock.now() + 3600


def test_the_token_is_stored_before_its_expiry_is_looked_up(
    server: OAuthTestServer, store: ClockedStore
) -> None:
    seen: list[tuple[Step, int]] = []

    def observer(event: Event) -> None:
        seen.append((event.step, count_lookups(server)))

    asking(server, store, observer).token()
    assert (Step.PERSISTED, 0) in seen
    assert count_lookups(server) == 1


def store_undated(server: OAuthTestServer, store: ClockedStore) -> Token:
    """A stored token whose end was never looked up: its worker died before."""
    worker = asking(server, store)
    token = worker.token()
    key = worker.grant_key
    store.change(store.read(key), lambda r: replace(r, token=replace(token, expires_at=None)))
    server.clear_log()
    return token


def test_the_expiry_of_another_workers_token_is_looked_up_once_that_worker_must_have_died(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    token = store_undated(server, store)
    assert asking(server, store).token().expires_at is None
    assert count_lookups(server) == 0
    clock.advance(61)
    assert asking(server, store).token().expires_at == token.expires_at
    assert count_lookups(server) == 1


def test_an_inactive_token_is_refreshed_and_not_used(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    dead = store_undated(server, store)
    revoke(server, dead)
    clock.advance(61)
    token = asking(server, store).token()
    assert token.access_token != dead.access_token
    assert token.expires_at == clock.now() + 3600
    assert server.counters.refreshes == 2


def test_a_token_that_is_inactive_from_the_start_raises_and_is_not_handed_out(
    server: OAuthTestServer, store: ClockedStore
) -> None:
    worker = asking(server, store)
    json_type = {"Content-Type": "application/json"}
    server.fault(PATH, status=200, headers=json_type, body='{"active": false}')
    with pytest.raises(InvalidTokenResponse) as caught:
        worker.token()
    assert str(caught.value) == (
        f"The authorization server calls the token inactive that it has just issued for connection 'crm' at "
        f"{server.base_url}{PATH}. Check introspect_url; without it, a token is used until the API refuses it."
    )
    assert worker.token().expires_at is not None
    assert server.counters.refreshes == 2


@pytest.mark.parametrize("answer", [{"drop": True}, {"status": 503}, {"status": 403}])
def test_a_failing_introspection_endpoint_is_logged_and_the_default_lifetime_used(
    server: OAuthTestServer,
    store: ClockedStore,
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
) -> None:
    server.fault(PATH, times=9, **answer)
    with caplog.at_level(logging.WARNING, "oauth_taskflow.tokens"):
        token = asking(server, store).token()
    assert token.expires_at is None
    (line,) = caplog.messages
    assert line.startswith("when a token ends is not known, so it is used until a 401: ")
    assert token.access_token not in line


def test_a_dialects_lifetime_is_used_when_the_endpoint_fails(
    server: OAuthTestServer,
    store: ClockedStore,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.fault(PATH, status=503)
    assert asking(server, store, lifetime_s=900).token().expires_at == clock.now() + 900
    assert "so it is taken to live 900 s: " in caplog.messages[-1]
    asking(server, store, lifetime_s=900).token()
    assert count_lookups(server) == 1


def test_a_failed_lookup_is_repeated_after_a_while(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    server.fault(PATH, status=503)
    worker = asking(server, store)
    worker.token()
    for seconds in (200, 101):
        clock.advance(seconds)
        worker.token()
        flight = worker._calls._call
        if flight is not None:
            flight.result()
    assert count_lookups(server) == 2
    assert worker.token().expires_at == clock.now() - 301 + 3600


def test_the_expiry_of_an_answer_with_a_lifetime_is_not_looked_up(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    server.policy = TokenPolicy(lifetime=1200)
    assert asking(server, store).token().expires_at == clock.now() + 1200
    assert count_lookups(server) == 0


def test_a_missing_or_past_end_leaves_the_token_active_until_a_401(
    server: OAuthTestServer, store: ClockedStore, clock: FakeClock
) -> None:
    server.policy = TokenPolicy(lifetime=None)
    assert asking(server, store).token().expires_at is None
    consent(server, "seed-2")
    json_type = {"Content-Type": "application/json"}
    server.fault(PATH, status=200, headers=json_type, body='{"active": true, "exp": 5}')
    assert asking(server, store, seed="seed-2").token().expires_at is None
