"""From memory when fresh, in the background when stale, exactly once when expired."""

from __future__ import annotations

import copy
import pickle
import threading
import timeit
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import InvalidGrant, ResultRefused, TokenEndpointUnavailable
from oauth_taskflow.oauth.endpoint.token_endpoint import Timeouts
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.manager import TokenManager, _CachedToken, _is_news
from oauth_taskflow.tokens.options import ManagerOptions
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    Answer,
    ScriptedEndpoint,
    down,
    grants,
    invalid_grant,
    script_endpoint,
)


def manager(store: ClockedStore, endpoint: ScriptedEndpoint, **options: Any) -> TokenManager:
    """A manager of a refresh-token grant on the store's clock."""
    return TokenManager.for_grant(
        store,
        endpoint,
        RefreshToken("seed-token"),
        clock=store._clock,
        options=ManagerOptions(**options) if options else None,
    )


def await_refresh(under_test: TokenManager) -> None:
    """Wait for the refresh in the background, if there is one."""
    flight = under_test._calls._call
    if flight is not None:
        flight.result()


@pytest.fixture
def slow(clock: FakeClock) -> tuple[threading.Event, Answer]:
    """An answer that waits for an event."""
    event = threading.Event()

    def answer() -> Any:
        event.wait(10)
        return grants(clock, "second", "rt-2")()

    return event, answer


def test_a_fresh_token_comes_from_memory(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    under_test = manager(store, endpoint)
    assert [under_test.token().access_token for _ in range(3)] == ["first"] * 3
    assert endpoint.sent == ["seed-token"]


def test_the_fast_path_takes_less_than_twenty_microseconds(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first")))
    under_test.token()
    assert min(timeit.repeat(under_test.token, number=1000, repeat=5)) / 1000 < 20e-6


def test_a_stale_token_is_served_while_a_refresh_runs(
    store: ClockedStore, clock: FakeClock, slow: tuple[threading.Event, Answer]
) -> None:
    event, answer = slow
    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1"), answer))
    under_test.token()
    clock.advance(3580)
    assert [under_test.token().access_token for _ in range(3)] == ["first"] * 3
    event.set()
    await_refresh(under_test)
    assert under_test.token().access_token == "second"


def test_an_expired_token_is_never_returned(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(3601)
    assert under_test.token().access_token == "second"
    assert endpoint.sent == ["seed-token", "rt-1"]


def test_a_token_without_lifetime_is_used_until_it_is_refused(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", lifetime=None), grants(clock, "second"))
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(10 * 365 * 86400)
    assert under_test.token().access_token == "first"
    await_refresh(under_test)
    assert under_test.replace_refused("first").access_token == "second"


def test_many_threads_with_the_same_refused_token_cause_one_refresh(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    under_test = manager(store, endpoint)
    under_test.token()
    with ThreadPoolExecutor(16) as threads:
        tokens = set(
            threads.map(lambda _: under_test.replace_refused("first").access_token, range(64))
        )
    assert tokens == {"second"}
    assert endpoint.sent == ["seed-token", "rt-1"]


def test_a_refused_token_that_was_replaced_already_costs_nothing(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    under_test = manager(store, endpoint)
    under_test.token()
    assert under_test.replace_refused("an older one").access_token == "first"
    assert endpoint.sent == ["seed-token"]


def test_a_refused_token_that_another_process_replaced_costs_nothing(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    here, there = manager(store, endpoint), manager(store, endpoint)
    assert here.token() == there.token()
    there.replace_refused("first")
    assert here.replace_refused("first").access_token == "second"
    assert len(endpoint.sent) == 2


def test_a_server_that_answers_with_the_same_access_token_is_asked_once_per_refusal(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "same", "rt-1"), grants(clock, "same", "rt-2"))
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(1)
    assert under_test.replace_refused("same").access_token == "same"
    assert len(endpoint.sent) == 2


def test_memory_is_compared_with_the_store_every_few_seconds(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    here, there = manager(store, endpoint), manager(store, endpoint)
    here.token()
    there.replace_refused("first")
    clock.advance(6)
    here.token()
    await_refresh(here)
    assert here.token().access_token == "second"


def test_a_failed_refresh_of_a_stale_token_is_retried_and_the_token_used_meanwhile(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(
        grants(clock, "first", "rt-1"), down(60), grants(clock, "second", "rt-2")
    )
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(3565)
    for _ in range(5):
        assert under_test.token().access_token == "first"
        await_refresh(under_test)
        clock.advance(1.1)
    assert endpoint.sent == ["seed-token", "rt-1"]
    clock.advance(61)
    assert under_test.token().access_token == "second"


def test_a_shared_failure_is_a_copy_for_every_thread(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint(invalid_grant()))

    def ask(_: int) -> Exception:
        with pytest.raises(InvalidGrant) as raised:
            under_test.token()
        return raised.value

    with ThreadPoolExecutor(8) as threads:
        failures = list(threads.map(ask, range(8)))
    assert len({id(failure) for failure in failures}) == 8
    assert len({str(failure) for failure in failures}) == 1


def test_the_database_clock_decides_when_machines_disagree(
    store: ClockedStore, clock: FakeClock
) -> None:
    store.ahead = -300.0
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    here = manager(store, endpoint)
    here.token()
    clock.jump(300)  # another machine, five minutes ahead
    there = manager(store, endpoint)
    token = there.token()
    assert token.access_token == "first"
    assert token.expires_at == pytest.approx(clock.now() + 3600)


@pytest.mark.parametrize("seconds", [-300.0, 300.0])
def test_a_jump_of_the_wall_clock_changes_nothing(
    store: ClockedStore, clock: FakeClock, seconds: float
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(3400)
    clock.jump(seconds)
    assert under_test.token().access_token == "first"
    await_refresh(under_test)
    assert endpoint.sent == ["seed-token"]


def test_client_credentials_are_asked_for_again_without_a_refresh_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first"), grants(clock, "second"))
    under_test = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    under_test.token()
    clock.advance(3601)
    assert under_test.token().access_token == "second"
    assert store.read(under_test.grant_key).refresh_token is None


def test_a_manager_refuses_to_be_pickled_and_shows_no_secret(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first")))
    with pytest.raises(ResultRefused):
        pickle.dumps(under_test)
    with pytest.raises(ResultRefused):
        copy.deepcopy(under_test)
    assert repr(under_test) == f"TokenManager('crm', grant {under_test.grant_key[:12]})"


def test_a_lease_shorter_than_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="lease_ttl"):
        ManagerOptions(lease_ttl=30, request_budget=35)


def test_the_default_lease_outlasts_a_request_its_writing_and_half_a_minutes_stall() -> None:
    options, limits = ManagerOptions(), Timeouts()
    assert (limits.connect, limits.read, limits.total) == (5.0, 30.0, options.request_budget)
    assert options.request_budget + options.write_reserve + 30.0 < options.lease_ttl == 90.0


def test_processes_find_the_same_token_stale_at_different_moments(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    managers = [manager(store, endpoint, reread_after=1e6) for _ in range(20)]
    expiry = managers[0].token().expires_at
    assert expiry is not None
    ahead = set()
    for one in managers:
        one.token()
        assert one._cached is not None
        ahead.add(round(expiry - clock.now() - one._cached.fresh_until, 6))
    assert len(ahead) == 20
    assert 42.0 <= min(ahead) < max(ahead) <= 60.0


def test_an_error_is_raised_without_a_usable_token(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1"), down(600)))
    under_test.token()
    clock.advance(3601)
    for _ in range(2):
        with pytest.raises(TokenEndpointUnavailable):
            under_test.token()


def test_a_refresh_ahead_leaves_another_worker_alone(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    under_test = manager(store, endpoint)
    under_test.token()
    clock.advance(3565)
    store.acquire(under_test.grant_key, owner="another machine", ttl=90)
    for _ in range(3):
        assert under_test.token().access_token == "first"
        await_refresh(under_test)
    assert endpoint.sent == ["seed-token"]


def test_a_store_that_fails_during_a_refresh_ahead_is_logged_and_the_token_used(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1")))
    under_test.token()
    store.cipher = TokenCipher([Fernet.generate_key()])
    clock.advance(6)
    assert under_test.token().access_token == "first"
    await_refresh(under_test)
    assert "refresh ahead of expiry failed: The stored token cannot be read" in caplog.text


def test_a_defect_during_a_refresh_ahead_is_logged_by_name_only(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise KeyError("refresh-secret")

    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1"), broken))
    under_test.token()
    clock.advance(3565)
    assert under_test.token().access_token == "first"
    await_refresh(under_test)
    assert f"{under_test!r}: refresh ahead of expiry failed: KeyError" in caplog.messages
    assert "secret" not in caplog.text


def test_a_caller_refreshes_when_the_refresh_it_joined_brought_no_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1")))
    gate = threading.Event()

    def nothing() -> None:
        gate.wait(10)

    under_test._calls.start(nothing)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(under_test.token)
        assert not asked.done()
        gate.set()
        assert asked.result(10).access_token == "first"


def test_the_same_access_token_is_news_only_with_a_later_date(clock: FakeClock) -> None:
    token = Token("at", clock.now())
    held, other = _CachedToken(token, 0.0, 0.0, 1.0), _CachedToken(token, 0.0, 0.0, 2.0)
    assert not _is_news(held, held, "at")
    assert not _is_news(held, None, "at")
    assert _is_news(other, held, "at")
    assert _is_news(held, held, None)


def test_a_refused_token_that_another_thread_reads_again_is_replaced(
    store: ClockedStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = manager(
        store, script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    )
    assert under_test.token().access_token == "first"
    store.ahead -= 0.01  # no two readings of a database's clock agree with ours to the bit
    joined = threading.Event()

    def read_again() -> Any:
        joined.wait(10)
        return under_test._refresh_ahead()

    def join(work: Any) -> Any:
        call = start(work)
        joined.set()
        return call

    under_test._calls.start(read_again)
    start = under_test._calls._join_or_start
    monkeypatch.setattr(under_test._calls, "_join_or_start", join)
    assert under_test.replace_refused("first").access_token == "second"
