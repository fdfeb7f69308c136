"""The states of a grant, and the events that lead from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_taskflow.errors import (
    InvalidClient,
    RefreshResponseLost,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    down,
    grants,
    invalid_client,
    invalid_grant,
    lose_answer,
    script_endpoint,
)
from tests.tokens.grant import manager, read_stored


def test_an_empty_grant_becomes_active_and_each_refresh_is_one_version(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(*[grants(clock, f"at-{n}", f"rt-{n}") for n in range(3)])
    under_test = manager(store, endpoint)
    assert read_stored(store, under_test).state is GrantState.EMPTY
    versions = []
    for _ in range(3):
        under_test.token()
        versions.append(read_stored(store, under_test).version)
        clock.advance(3601)
    assert read_stored(store, under_test).state is GrantState.ACTIVE
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


def test_the_lease_is_held_while_a_refresh_is_under_way(
    store: ClockedStore, clock: FakeClock
) -> None:
    seen: list[GrantRecord] = []

    def answer() -> Granted:
        seen.append(read_stored(store, under_test))
        return grants(clock, "at", "rt-1")()

    under_test = manager(store, script_endpoint(answer))
    under_test.token()
    (meanwhile,) = seen
    assert meanwhile.lease.owner is not None
    assert meanwhile.lease.fence == 1
    assert read_stored(store, under_test).lease.owner is None


def test_a_passing_failure_keeps_the_state_and_adds_a_cool_down(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt-1"), down(40)))
    under_test.token()
    with pytest.raises(TokenEndpointUnavailable):
        under_test.replace_refused("at")
    record = read_stored(store, under_test)
    assert (record.state, record.journal) == (GrantState.ACTIVE, None)
    assert record.last_failure is not None
    assert record.last_failure.until == pytest.approx(clock.now() + 40, abs=1)
    assert record.last_failure.kind == "TokenEndpointUnavailable"


def test_an_unknown_outcome_is_in_doubt_until_the_next_answer(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(lose_answer(), lose_answer(), grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint)
    with pytest.raises(TokenEndpointUnavailable):
        under_test.token()
    doubt = read_stored(store, under_test).journal
    assert doubt is not None
    assert (doubt.fingerprint, doubt.doubtful) == (store.cipher.fingerprint("seed-token"), True)
    clock.advance(60)
    assert under_test.token().access_token == "at"
    assert read_stored(store, under_test).journal is None


def test_a_refused_token_in_doubt_needs_consent(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint(lose_answer(), invalid_grant()))
    with pytest.raises(RefreshResponseLost):
        under_test.token()
    assert read_stored(store, under_test).state is GrantState.NEEDS_CONSENT
    granted = Granted(Token("at-new", clock.now(), clock.now() + 3600), "rt-new")
    _, record = under_test.stored.expect_consent().store(granted)
    assert (record.state, record.journal) == (GrantState.ACTIVE, None)


def test_a_misconfigured_grant_recovers_with_other_client_credentials(
    store: ClockedStore, clock: FakeClock
) -> None:
    with pytest.raises(InvalidClient):
        manager(store, script_endpoint(invalid_client())).token()
    corrected = script_endpoint(grants(clock, "at", "rt-1"), client=Client("me", "new secret"))
    under_test = manager(store, corrected)
    assert read_stored(store, under_test).state is GrantState.MISCONFIGURED
    assert under_test.token().access_token == "at"
    assert read_stored(store, under_test).state is GrantState.ACTIVE


def test_a_repeatable_grant_sends_one_request_for_many_callers_and_keeps_no_journal(
    store: ClockedStore, clock: FakeClock
) -> None:
    seen: list[GrantRecord] = []

    def answer() -> Granted:
        seen.append(store.read(under_test.grant_key))
        return grants(clock, "at")()

    endpoint = script_endpoint(answer)
    under_test = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: under_test.token().access_token, range(16)))
    (meanwhile,) = seen
    assert (found, len(endpoint.sent)) == ({"at"}, 1)
    assert meanwhile.lease.owner is not None
    assert (meanwhile.journal, meanwhile.alternates) == (None, ())


def test_a_repeatable_grant_that_lost_its_lease_sends_one_more_request(
    store: ClockedStore, clock: FakeClock
) -> None:
    def slow() -> Granted:
        clock.advance(100)
        assert other.token().access_token == "second"
        return Granted(Token("first", clock.now() - 100, clock.now() + 3500))

    endpoint = script_endpoint(slow, grants(clock, "second"))
    under_test = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    other = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    assert under_test.token().access_token == "second"
    assert len(endpoint.sent) == 2


def just_before_the_lease(store: ClockedStore, happening: Callable[[], None]) -> None:
    """Let ``happening`` come to pass once, after the next worker has read the record and before it has the lease."""
    acquire = store.acquire

    def slower(*args: object, **kwargs: object) -> GrantRecord | None:
        store.acquire = acquire  # type: ignore[method-assign]  # the others are not held up
        happening()
        return acquire(*args, **kwargs)  # type: ignore[arg-type]

    store.acquire = slower  # type: ignore[method-assign]


def test_a_token_that_came_just_before_the_lease_is_used_and_nothing_sent(
    store: ClockedStore, clock: FakeClock
) -> None:
    first, endpoint = (
        manager(store, script_endpoint(grants(clock, "at", "rt-1"))),
        script_endpoint(),
    )
    second = manager(store, endpoint)
    just_before_the_lease(store, lambda: assert_token(first, "at"))
    assert_token(second, "at")
    assert endpoint.sent == []
    assert read_stored(store, second).lease.owner is None


def assert_token(under_test: TokenManager, access_token: str) -> None:
    assert under_test.token().access_token == access_token


def test_a_cool_down_that_began_just_before_the_lease_holds_and_the_lease_is_given_back(
    store: ClockedStore, clock: FakeClock
) -> None:
    first, endpoint = manager(store, script_endpoint(down(40))), script_endpoint()
    second = manager(store, endpoint)

    def fails() -> None:
        with pytest.raises(TokenEndpointUnavailable):
            first.token()

    just_before_the_lease(store, fails)
    with pytest.raises(TokenEndpointUnavailable):
        second.token()
    assert endpoint.sent == []
    assert read_stored(store, second).lease.owner is None
