"""Servers whose refresh ends the access token before (GitHub, GitLab): nothing fails, and nothing is refreshed twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.authorization import TokenPolicy
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import Answer, ScriptedEndpoint, down, grants, script_endpoint
from tests.tokens.grant import rotate_elsewhere

LATE = ManagerOptions(leeway=5.0, serve_stale=False)
THREADS = 8
PAGE = "/page/airports"


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        running.policy = TokenPolicy(old_access_token_dies=True)
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("real_store_url", ["sqlite"], indirect=True)
def test_requests_in_flight_while_another_worker_refreshes_all_succeed_after_one_refresh(
    server: OAuthTestServer, real_store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = TokenEndpoint(
        server.token_url, Client(server.client_id, server.client_secret), conn_id="crm"
    )
    grant = RefreshToken(server.issue_refresh_token())
    here, elsewhere = (
        TokenManager.for_grant(real_store, endpoint, grant, options=LATE) for _ in range(2)
    )
    first = here.token().access_token
    server.clear_log()
    replaced, look_up = threading.Event(), server.state.access_token

    def look_up_later(value: str) -> object:
        replaced.wait(120)
        return look_up(value)

    monkeypatch.setattr(server.state, "access_token", look_up_later)

    def call() -> int:
        with OAuthSession(server.base_url, OAuth2Auth(here, origins=(server.base_url,))) as session:
            return session.get(PAGE).status_code

    with ThreadPoolExecutor(THREADS) as threads:
        calls = [threads.submit(call) for _ in range(THREADS)]
        while len(server.requests) < THREADS:
            time.sleep(0.01)
        assert elsewhere.replace_refused(first).access_token != first
        replaced.set()
        assert [one.result(20) for one in calls] == [200] * THREADS
    statuses = [request.status or 0 for request in server.requests if request.path == PAGE]
    assert sorted(statuses) == [200] * THREADS + [401] * THREADS
    assert server.counters.refreshes == 2
    assert server.counters.reuse_detected == 0


def worker(store: ClockedStore, *answers: Answer) -> tuple[TokenManager, ScriptedEndpoint]:
    endpoint = script_endpoint(*answers)
    grant = RefreshToken("seed-token")
    return TokenManager.for_grant(
        store, endpoint, grant, clock=store._clock, options=LATE
    ), endpoint


def test_a_good_token_is_not_refreshed_before_its_last_seconds(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, endpoint = worker(store, grants(clock, "first", "rt-1"))
    under_test.token()
    clock.advance(3590)
    assert under_test.token().access_token == "first"
    flight = under_test._calls._call
    assert flight is None or flight.result() is not None
    assert len(endpoint.sent) == 1


def test_no_request_begins_with_a_token_that_is_being_replaced(
    store: ClockedStore, clock: FakeClock
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slowly() -> object:
        asked.set()
        answer.wait(10)
        return grants(clock, "second", "rt-2")()

    under_test, endpoint = worker(store, grants(clock, "first", "rt-1"), slowly)  # type: ignore[arg-type]
    under_test.token()
    clock.advance(3598)
    with ThreadPoolExecutor(4) as threads:
        tokens = [threads.submit(under_test.token) for _ in range(4)]
        assert asked.wait(10)
        assert not any(token.done() for token in tokens)
        answer.set()
        assert {token.result(10).access_token for token in tokens} == {"second"}
    assert len(endpoint.sent) == 2


def test_a_worker_that_waits_for_anothers_refresh_does_not_use_the_old_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, endpoint = worker(store, grants(clock, "first", "rt-1"))
    under_test.token()
    clock.advance(3598)
    key = under_test.grant_key
    assert store.acquire(key, owner="elsewhere", ttl=60) is not None

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        polls.append(seconds)
        if len(polls) == 4:
            rotate_elsewhere(store, key, clock, "second")

    polls: list[float] = []
    clock.sleep = sleep  # type: ignore[method-assign]  # somebody else goes on meanwhile
    assert under_test.token().access_token == "at-second"
    assert len(polls) == 4
    assert len(endpoint.sent) == 1


def test_a_refresh_that_fails_leaves_the_token_for_its_last_seconds(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, endpoint = worker(store, grants(clock, "first", "rt-1"), down(60), down(60))
    under_test.token()
    clock.advance(3598)
    assert [under_test.token().access_token for _ in range(3)] == ["first"] * 3
    assert len(endpoint.sent) == 2
