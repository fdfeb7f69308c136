"""The protocol's branches: dead refresh tokens, lost answers, other workers, changed connections."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidClient,
    InvalidGrant,
    LeaseTimeout,
    OAuthTaskflowError,
    RefreshResponseLost,
    TokenEndpointUnavailable,
    TokenUndecryptable,
)
from oauth_taskflow.oauth.client_auth import Client
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.oauth.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.record import GrantRecord, GrantState
from oauth_taskflow.tokens.steps import Event, Step
from tests.tokens.clock import ClockedStore, FakeClock
from tests.tokens.endpoints import (
    ScriptedEndpoint,
    down,
    grants,
    invalid_client,
    invalid_grant,
    scripted,
    vanished,
)


def manager(
    store: ClockedStore, endpoint: ScriptedEndpoint, seed: str = "seed-token", **fields: Any
) -> TokenManager:
    """A manager of a refresh-token grant on the store's clock."""
    return TokenManager.for_grant(store, endpoint, RefreshToken(seed), clock=store._clock, **fields)


def stored(store: ClockedStore, under_test: TokenManager) -> GrantRecord:
    return store.read(under_test.grant_key)


def rotate_elsewhere(store: ClockedStore, key: str, clock: FakeClock, name: str) -> None:
    """What a worker on another machine does: a new pair in the store."""

    def edit(record: GrantRecord) -> GrantRecord:
        token = Token(f"at-{name}", clock.now(), clock.now() + 3600)
        refresh_token = f"rt-{name}"
        mark = store.cipher.mark(refresh_token)
        return replace(record, token=token, refresh_token=refresh_token, lineage=mark)

    store.change(store.read(key), edit)


def test_the_steps_of_a_refresh_come_in_order(store: ClockedStore, clock: FakeClock) -> None:
    events: list[Event] = []
    under_test = manager(store, scripted(grants(clock, "at", "rt-1")), observer=events.append)
    under_test.token()
    assert [event.step for event in events] == [
        Step.LEASED,
        Step.SUPERSEDED,
        Step.JOURNALED,
        Step.SENDING,
        Step.ANSWERED,
        Step.PERSISTED,
    ]
    assert {event.fence for event in events} == {1}


def test_the_journal_is_written_before_sending_and_cleared_with_the_answer(
    store: ClockedStore, clock: FakeClock
) -> None:
    seen: list[GrantRecord] = []

    def answer() -> Granted:
        seen.append(stored(store, under_test))
        return grants(clock, "at", "rt-1")()

    under_test = manager(store, scripted(answer))
    under_test.token()
    assert seen[0].journal is not None
    assert seen[0].journal.mark == store.cipher.mark("seed-token")
    after = stored(store, under_test)
    assert (after.journal, after.lease.owner, after.refresh_token) == (None, None, "rt-1")


def test_an_answer_without_refresh_token_keeps_the_old_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first"), grants(clock, "second"))
    under_test = manager(store, endpoint)
    under_test.token()
    under_test.refused("first")
    assert endpoint.sent == ["seed-token", "seed-token"]


def test_a_dead_refresh_token_is_told_to_everybody_without_another_request(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(invalid_grant())
    for _ in range(3):
        with pytest.raises(InvalidGrant) as raised:
            manager(store, endpoint).token()
    assert len(endpoint.sent) == 1
    assert str(raised.value) == (
        "Refresh token refused (invalid_grant, HTTP 400) for connection 'crm' at "
        "https://id.example.com/token. Authorize the connection again; the old refresh token cannot come back."
    )
    assert stored(store, manager(store, endpoint)).state is GrantState.NEEDS_CONSENT


def test_the_dead_refresh_token_is_kept_for_diagnosis(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, scripted(invalid_grant()))
    with pytest.raises(InvalidGrant):
        under_test.token()
    assert stored(store, under_test).refresh_token == "seed-token"


def test_a_new_refresh_token_in_the_connection_supersedes_a_dead_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(invalid_grant(), grants(clock, "at", "rt-1"))
    with pytest.raises(InvalidGrant):
        manager(store, endpoint).token()
    assert manager(store, endpoint, seed="new consent").token().access_token == "at"
    assert endpoint.sent == ["seed-token", "new consent"]


def test_a_new_refresh_token_in_the_connection_supersedes_a_living_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    manager(store, endpoint).token()
    assert manager(store, endpoint, seed="new consent").token().access_token == "second"


def test_a_worker_with_the_connection_of_last_week_does_not_bring_its_refresh_token_back(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    manager(store, endpoint, seed="old consent").token()
    manager(store, endpoint, seed="new consent").token()
    assert manager(store, endpoint, seed="old consent").token().access_token == "second"
    assert len(endpoint.sent) == 2


def test_a_new_client_secret_lifts_a_refusal_and_keeps_the_living_refresh_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(
        grants(clock, "first", "rt-1"), invalid_client(), grants(clock, "second", "rt-2")
    )
    under_test = manager(store, endpoint)
    under_test.token()
    with pytest.raises(InvalidClient):
        under_test.refused("first")
    renewed = scripted(client=Client("me", "new secret"))
    renewed.answers.extend(endpoint.answers)
    assert manager(store, renewed).refused("first").access_token == "second"
    assert renewed.sent == ["rt-1"]


def test_a_refused_client_is_not_hammered_but_tried_again_after_a_while(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(invalid_client(), grants(clock, "at", "rt-1"))
    for _ in range(5):
        with pytest.raises(InvalidClient):
            manager(store, endpoint).token()
    assert len(endpoint.sent) == 1
    assert stored(store, manager(store, endpoint)).state is GrantState.MISCONFIGURED
    clock.advance(61)
    assert manager(store, endpoint).token().access_token == "at"


def test_a_cool_down_ends_by_itself(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = scripted(down(40), grants(clock, "at", "rt-1"))
    with pytest.raises(TokenEndpointUnavailable):
        manager(store, endpoint).token()
    clock.advance(10)
    with pytest.raises(TokenEndpointUnavailable) as raised:
        manager(store, endpoint).token()
    assert raised.value.retry_after == pytest.approx(30, abs=0.1)
    clock.advance(31)
    assert manager(store, endpoint).token().access_token == "at"


def test_failures_in_a_row_make_the_pause_longer(store: ClockedStore, clock: FakeClock) -> None:
    pauses = []
    endpoint = scripted(*[down(36) for _ in range(2)], *[vanished() for _ in range(8)])
    for _ in range(6):
        with pytest.raises(OAuthTaskflowError):
            manager(store, endpoint).token()
        trouble = stored(store, manager(store, endpoint)).trouble
        assert trouble is not None
        assert trouble.until is not None
        pauses.append(trouble.until - clock.now())
        clock.advance(pauses[-1] + 1)
    assert pauses[:2] == pytest.approx([36, 36], abs=1)
    assert pauses[2:] == pytest.approx([8, 16, 32, 32], abs=1)


def test_an_alternate_is_tried_when_the_stored_refresh_token_is_dead(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(
        grants(clock, "first", "rt-1"), invalid_grant(), invalid_grant(), grants(clock, "2", "rt-2")
    )
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "newer", "older")
    assert under_test.refused("first").access_token == "2"
    assert endpoint.sent == ["seed-token", "rt-1", "newer", "older"]
    assert stored(store, under_test).alternates == ()


def test_each_alternate_is_tried_once(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = scripted(grants(clock, "first", "rt-1"), *[invalid_grant() for _ in range(3)])
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "newer", "older")
    for _ in range(2):
        with pytest.raises(InvalidGrant):
            under_test.refused("first")
    assert endpoint.sent == ["seed-token", "rt-1", "newer", "older"]


def give_alternates(store: ClockedStore, under_test: TokenManager, *alternates: str) -> None:
    store.change(stored(store, under_test), lambda r: replace(r, alternates=alternates))


def test_an_invalid_grant_is_forgiven_when_somebody_rotated_meanwhile(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answer() -> Any:
        rotate_elsewhere(store, under_test.grant_key, clock, "other")
        return invalid_grant()

    under_test = manager(store, scripted(answer))
    assert under_test.token().access_token == "at-other"
    assert stored(store, under_test).lease.owner is None


def test_a_late_answer_leaves_the_newer_pair_and_becomes_an_alternate(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answer() -> Granted:
        rotate_elsewhere(store, under_test.grant_key, clock, "other")
        return grants(clock, "late", "rt-late")()

    under_test = manager(store, scripted(answer))
    assert under_test.token().access_token == "at-other"
    record = stored(store, under_test)
    assert (record.refresh_token, record.alternates) == ("rt-other", ("rt-late",))


def test_a_lost_answer_is_asked_for_once_more(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = scripted(vanished(), grants(clock, "at", "rt-1"))
    assert manager(store, endpoint).token().access_token == "at"
    assert endpoint.sent == ["seed-token", "seed-token"]


def test_a_lost_answer_followed_by_a_refusal_is_no_revocation(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(vanished(), invalid_grant())
    with pytest.raises(RefreshResponseLost):
        manager(store, endpoint).token()


def test_doubt_outlives_the_worker_that_had_it(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = scripted(vanished(), vanished(), down(40), invalid_grant())
    for pause, kind in ((60, TokenEndpointUnavailable), (60, TokenEndpointUnavailable)):
        with pytest.raises(kind):
            manager(store, endpoint).token()
        clock.advance(pause)
    with pytest.raises(RefreshResponseLost):
        manager(store, endpoint).token()


def test_an_alternate_that_is_refused_without_doubt_is_a_revocation(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first", "rt-1"), invalid_grant(), invalid_grant())
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "other")
    with pytest.raises(InvalidGrant):
        under_test.refused("first")


def test_a_holder_whose_time_is_up_does_not_send(store: ClockedStore, clock: FakeClock) -> None:
    def stall(event: Event) -> None:
        if event.step is Step.JOURNALED and event.fence == 1:
            clock.advance(100)

    endpoint = scripted(grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint, observer=stall)
    assert under_test.token().access_token == "at"
    assert endpoint.sent == ["seed-token"]
    assert stored(store, under_test).lease.fence == 2


def test_a_holder_that_lost_its_lease_before_the_journal_starts_over(
    store: ClockedStore, clock: FakeClock
) -> None:
    def robbed(event: Event) -> None:
        if event.step is Step.LEASED and event.fence == 1:
            taken = store.acquire(event.grant_key, owner="thief", ttl=30, breaking=1)
            assert taken is not None
            clock.advance(31)

    endpoint = scripted(grants(clock, "at", "rt-1"))
    assert manager(store, endpoint, observer=robbed).token().access_token == "at"
    assert endpoint.sent == ["seed-token"]


def test_a_lost_answer_is_not_asked_for_again_when_the_lease_is_almost_over(
    store: ClockedStore, clock: FakeClock
) -> None:
    def slow() -> Any:
        clock.advance(72)
        return vanished()

    endpoint = scripted(slow)
    with pytest.raises(TokenEndpointUnavailable):
        manager(store, endpoint).token()
    record = stored(store, manager(store, endpoint))
    assert record.journal is not None
    assert record.lease.owner is None


def test_a_failure_after_the_lease_was_lost_is_left_to_the_new_holder(
    store: ClockedStore, clock: FakeClock
) -> None:
    def robbed() -> Any:
        assert store.acquire(under_test.grant_key, owner="thief", ttl=30, breaking=1)
        clock.advance(31)
        return down(40)

    endpoint = scripted(robbed, grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint)
    assert under_test.token().access_token == "at"


def test_a_holder_that_wakes_and_stores_its_answer_stops_the_next_one_from_sending(
    store: ClockedStore, clock: FakeClock
) -> None:
    def wake_the_old_one(event: Event) -> None:
        if event.step is Step.SUPERSEDED:
            rotate_elsewhere(store, event.grant_key, clock, "other")

    endpoint = scripted()
    assert manager(store, endpoint, observer=wake_the_old_one).token().access_token == "at-other"
    assert endpoint.sent == []


def test_a_refusal_does_not_condemn_what_somebody_stored_meanwhile(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answered(event: Event) -> None:
        if event.step is Step.ANSWERED:
            store.meanwhile = lambda: rotate_elsewhere(store, event.grant_key, clock, "other")

    under_test = manager(store, scripted(invalid_grant()), observer=answered)
    assert under_test.token().access_token == "at-other"
    assert stored(store, under_test).state is GrantState.ACTIVE


def test_waiting_for_another_worker_has_an_end(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(
        store, scripted(), options=ManagerOptions(lease_wait=20, lease_ttl=90, request_budget=35)
    )
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    with pytest.raises(LeaseTimeout) as raised:
        under_test.token()
    assert raised.value.retryable
    assert str(raised.value) == (
        f"Another worker has been refreshing for more than 20 s for connection 'crm' in {store.name}. "
        "Its lease (fence 1) runs out by itself; try again."
    )


def test_the_result_of_another_worker_ends_the_wait(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, scripted())
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    store.change(
        stored(store, under_test), lambda r: _with_seed(r, store.cipher.mark("seed-token"))
    )
    rotate_elsewhere(store, under_test.grant_key, clock, "other")
    assert under_test.token().access_token == "at-other"


def _with_seed(record: GrantRecord, mark: str) -> GrantRecord:
    return replace(record, seeds=(mark,))


def test_a_missing_refresh_token_is_a_connection_error(
    store: ClockedStore, clock: FakeClock
) -> None:
    with pytest.raises(ConnectionConfigError) as raised:
        manager(store, scripted(), seed="").token()
    assert str(raised.value) == (
        "There is no refresh token in connection 'crm', field 'refresh_token'. "
        "Authorize the connection and put the refresh token in."
    )


def test_a_narrower_scope_is_reported(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    token = Token("at", clock.now(), clock.now() + 60)
    manager(store, scripted(Granted(token, "rt-1", missing_scope=("write",)))).token()
    assert "connection crm: the server granted less than was asked for; missing scope: write" in (
        caplog.text
    )


def test_each_refresh_leaves_one_audit_line_without_secrets(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "oauth_taskflow")
    under_test = manager(store, scripted(grants(clock, "access-secret", "refresh-secret")))
    under_test.token()
    lines = [line for line in caplog.messages if line.startswith("refresh grant=")]
    assert lines == [
        f"refresh grant={under_test.grant_key[:12]} conn_id=crm version=2 fence=1 "
        "outcome=Granted duration=0.000s in_doubt=False"
    ]
    assert "secret" not in caplog.text


def test_an_unreadable_client_credentials_token_is_replaced(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first"), grants(clock, "second"))
    TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock).token()
    store.cipher = TokenCipher([_other_key()])
    again = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    assert again.token().access_token == "second"


def test_an_unreadable_refresh_token_is_never_thrown_away(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = scripted(grants(clock, "first", "rt-1"))
    manager(store, endpoint).token()
    store.cipher = TokenCipher([_other_key()])
    with pytest.raises(TokenUndecryptable):
        manager(store, endpoint).token()
    assert len(endpoint.sent) == 1


def _other_key() -> bytes:
    return Fernet.generate_key()
