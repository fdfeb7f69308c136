"""A refresh without surprises, and workers that wait for each other."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event as sql

from oauth_taskflow.errors import InvalidGrant, LeaseTimeout
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.record import GrantRecord
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    grants,
    invalid_grant,
    script_endpoint,
)
from tests.tokens.grant import manager, read_stored, rotate_elsewhere


def test_the_steps_of_a_refresh_come_in_order(store: ClockedStore, clock: FakeClock) -> None:
    events: list[Event] = []
    under_test = manager(
        store, script_endpoint(grants(clock, "at", "rt-1")), observer=events.append
    )
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


def test_an_observer_that_fails_costs_nothing(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> None:
        raise KeyError("refresh-secret")

    endpoint = script_endpoint(grants(clock, "at", "rt-1"))
    assert manager(store, endpoint, observer=broken).token().access_token == "at"
    assert "observer failed at answered: KeyError" in caplog.messages
    assert "secret" not in caplog.text


def test_the_journal_is_written_before_sending_and_cleared_with_the_answer(
    store: ClockedStore, clock: FakeClock
) -> None:
    seen: list[GrantRecord] = []

    def answer() -> Granted:
        seen.append(read_stored(store, under_test))
        return grants(clock, "at", "rt-1")()

    under_test = manager(store, script_endpoint(answer))
    under_test.token()
    assert seen[0].journal is not None
    assert seen[0].journal.fingerprint == store.cipher.fingerprint("seed-token")
    after = read_stored(store, under_test)
    assert (after.journal, after.lease.owner, after.refresh_token) == (None, None, "rt-1")


def test_an_answer_without_refresh_token_keeps_the_old_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first"), grants(clock, "second"))
    under_test = manager(store, endpoint)
    under_test.token()
    under_test.replace_refused("first")
    assert endpoint.sent == ["seed-token", "seed-token"]


def test_the_whole_answer_is_written_by_one_statement(
    store: ClockedStore, clock: FakeClock
) -> None:
    written: list[str] = []

    def answer() -> Granted:
        sql.listen(store._database.open_engine(), "before_cursor_execute", note)
        return grants(clock, "at", "rt-1")()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        written.extend([statement] if statement.startswith(("UPDATE", "INSERT")) else [])

    manager(store, script_endpoint(answer)).token()
    (statement,) = written
    for column in ("payload", "lineage", "expires_at", "version", "journal", "lease_owner"):
        assert f"{column}=" in statement


def test_a_holder_whose_time_is_up_does_not_send(store: ClockedStore, clock: FakeClock) -> None:
    def stall(event: Event) -> None:
        if event.step is Step.JOURNALED and event.fence == 1:
            clock.advance(100)

    endpoint = script_endpoint(grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint, observer=stall)
    assert under_test.token().access_token == "at"
    assert endpoint.sent == ["seed-token"]
    assert read_stored(store, under_test).lease.fence == 2


def test_a_worker_that_stood_still_while_it_took_the_lease_does_not_send(
    store: ClockedStore, clock: FakeClock
) -> None:
    stalls = iter([100.0])

    def stall(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE") and "fence=" in statement and cursor.rowcount == 1:
            clock.advance(next(stalls, 0.0))

    endpoint = script_endpoint(grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint)
    sql.listen(store._database.open_engine(), "after_cursor_execute", stall)
    assert under_test.token().access_token == "at"
    assert endpoint.sent == ["seed-token"]
    assert read_stored(store, under_test).lease.fence == 2


def test_waiting_for_another_worker_times_out(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(
        store,
        script_endpoint(),
        options=ManagerOptions(lease_wait=20, lease_ttl=90, request_budget=35),
    )
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    with pytest.raises(LeaseTimeout) as raised:
        under_test.token()
    assert raised.value.retryable
    assert str(raised.value) == (
        f"Another worker has been refreshing for more than 20 s for connection 'crm' in {store.name}. "
        "Its lease (fence 1), of another worker, ends at 2027-01-15T08:16:40Z unless that worker prolongs it; try again."
    )


def test_a_worker_publishes_how_long_it_waited_for_another(
    store: ClockedStore, clock: FakeClock
) -> None:
    events: list[Event] = []
    options = ManagerOptions(lease_wait=20)
    under_test = manager(store, script_endpoint(), options=options, observer=events.append)
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    with pytest.raises(LeaseTimeout):
        under_test.token()
    (event,) = events
    assert (event.step, event.conn_id) == (Step.WAITED, "crm")
    assert event.seconds == pytest.approx(sum(clock.slept))


def test_waiting_workers_poll_at_different_moments(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint(), options=ManagerOptions(lease_wait=5))
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    with pytest.raises(LeaseTimeout):
        under_test.token()
    assert len(set(clock.slept)) == len(clock.slept) > 5
    assert max(clock.slept) <= 0.75


def test_the_result_of_another_worker_ends_the_wait(store: ClockedStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint())
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    store.change(
        read_stored(store, under_test),
        lambda r: _with_seed(r, store.cipher.fingerprint("seed-token")),
    )
    rotate_elsewhere(store, under_test.grant_key, clock, "other")
    assert under_test.token().access_token == "at-other"


def test_a_waiting_worker_writes_nothing(store: ClockedStore, clock: FakeClock) -> None:
    """A thousand waiting processes that each try for the lease would hold up the one that has it."""
    under_test = manager(store, script_endpoint(), options=ManagerOptions(lease_wait=5.0))
    store.acquire(under_test.grant_key, owner="another machine", ttl=1000)
    statements: list[str] = []
    sql.listen(
        store._database.open_engine(),
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement.split()[0]),
    )
    with pytest.raises(LeaseTimeout):
        under_test.token()
    assert set(statements) == {"BEGIN", "SELECT"}


def test_a_long_task_never_brings_back_the_refresh_token_it_began_with(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "at-1", "rt-1"), grants(clock, "at-3", "rt-3"))
    under_test = manager(store, endpoint)
    under_test.token()
    # Write-back fingerprints each refresh token, and the oldest fingerprints are dropped.
    fingerprints = [store.cipher.fingerprint(f"written back {number}") for number in range(70)]
    store.change(
        read_stored(store, under_test), lambda r: transitions.remember_seeds(r, *fingerprints)
    )
    rotate_elsewhere(store, under_test.grant_key, clock, "2")
    assert store.cipher.fingerprint("seed-token") not in read_stored(store, under_test).seeds
    clock.advance(3601)
    assert under_test.token().access_token == "at-3"
    assert endpoint.sent == ["seed-token", "rt-2"]


def test_a_narrower_scope_is_reported(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    token = Token("at", clock.now(), clock.now() + 60)
    manager(store, script_endpoint(Granted(token, "rt-1", missing_scope=("write",)))).token()
    assert "connection crm: the server granted less than was asked for; missing scope: write" in (
        caplog.text
    )


@pytest.mark.parametrize(("skew", "reported"), [(None, 0), (29.0, 0), (-31.0, 1), (300.0, 1)])
def test_a_clock_that_is_far_off_is_reported(
    store: ClockedStore,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    skew: float | None,
    reported: int,
) -> None:
    token = Token("at", clock.now(), clock.now() + 60)
    manager(store, script_endpoint(Granted(token, "rt-1", skew=skew))).token()
    text = (
        f"connection crm: the authorization server's clock is {skew or 0:+.0f} s off this machine's"
    )
    assert sum(text in message for message in caplog.messages) == reported


def test_a_refresh_token_from_elsewhere_that_replaces_a_stored_one_is_reported(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    manager(store, endpoint).token()
    assert "consent of its own" not in caplog.text
    manager(store, endpoint, seed="rotated elsewhere").token()
    assert (
        "connection crm: its refresh token was not stored here and replaces the stored one. That is right after a new "
        "consent. If another deployment rotates this grant too, give each a separate consent."
    ) in caplog.messages


def test_a_wider_scope_is_reported_once(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    token = Token("at", clock.now(), clock.now() + 60, scope="read admin")
    wide = Granted(token, "rt-1", extra_scope=("admin",))
    under_test = manager(
        store, script_endpoint(wide, replace(wide, token=replace(token, access_token="x")))
    )
    under_test.token()
    under_test.replace_refused("at")
    said = [line for line in caplog.messages if "more than was asked for" in line]
    assert said == [
        "connection crm: the server granted more than was asked for: admin; the token can do more than it should"
    ]


def test_each_refresh_leaves_one_audit_line_without_secrets(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "oauth_taskflow")
    under_test = manager(store, script_endpoint(grants(clock, "access-secret", "refresh-secret")))
    under_test.token()
    lines = [line for line in caplog.messages if line.startswith("refresh grant=")]
    assert lines == [
        f"refresh grant={under_test.grant_key[:12]} conn_id=crm version=2 fence=1 "
        "outcome=Granted duration=0.000s in_doubt=False at=id.example.com/token"
    ]
    assert "secret" not in caplog.text


def test_a_failed_refresh_names_the_kind_of_error_in_its_audit_line(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "oauth_taskflow")
    under_test = manager(store, script_endpoint(invalid_grant()))
    with pytest.raises(InvalidGrant):
        under_test.token()
    (line,) = [line for line in caplog.messages if line.startswith("refresh grant=")]
    assert "version=1 fence=1 outcome=InvalidGrant duration=" in line
    assert "seed-token" not in caplog.text


def _with_seed(record: GrantRecord, mark: str) -> GrantRecord:
    return replace(record, seeds=(mark,))
