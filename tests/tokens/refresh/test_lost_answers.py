"""Dead refresh tokens, lost and late answers: what can still be saved, and what is said when nothing can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import (
    InvalidClient,
    InvalidGrant,
    RefreshResponseLost,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.state.record import GrantState
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
from tests.tokens.grant import give_alternates, manager, read_stored, rotate_elsewhere


def test_a_dead_refresh_token_fails_every_worker_without_another_request(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(invalid_grant())
    for _ in range(3):
        with pytest.raises(InvalidGrant) as raised:
            manager(store, endpoint).token()
    assert len(endpoint.sent) == 1
    assert str(raised.value) == (
        "Refresh token refused (invalid_grant, HTTP 400) for connection 'crm' at "
        "id.example.com/token. Authorize the connection again; the old refresh token cannot come back."
    )
    assert read_stored(store, manager(store, endpoint)).state is GrantState.NEEDS_CONSENT


def test_the_need_for_a_person_is_logged_once_with_the_command(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = script_endpoint(invalid_grant())
    for _ in range(3):
        with pytest.raises(InvalidGrant):
            manager(store, endpoint).token()
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert record.getMessage().startswith(
        "connection crm needs a person: airflow oauth login crm. Until then every worker fails at once: "
        "Refresh token refused (invalid_grant, HTTP 400)"
    )


def test_the_dead_refresh_token_is_kept_for_diagnosis(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(invalid_grant()))
    with pytest.raises(InvalidGrant):
        under_test.token()
    assert read_stored(store, under_test).refresh_token == "seed-token"


def test_a_new_refresh_token_in_the_connection_supersedes_a_dead_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(invalid_grant(), grants(clock, "at", "rt-1"))
    with pytest.raises(InvalidGrant):
        manager(store, endpoint).token()
    assert manager(store, endpoint, seed="new consent").token().access_token == "at"
    assert endpoint.sent == ["seed-token", "new consent"]


def test_a_new_client_secret_lifts_a_refusal_and_keeps_the_living_refresh_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(
        grants(clock, "first", "rt-1"), invalid_client(), grants(clock, "second", "rt-2")
    )
    under_test = manager(store, endpoint)
    under_test.token()
    with pytest.raises(InvalidClient):
        under_test.replace_refused("first")
    renewed = script_endpoint(client=Client("me", "new secret"))
    renewed.answers.extend(endpoint.answers)
    assert manager(store, renewed).replace_refused("first").access_token == "second"
    assert renewed.sent == ["rt-1"]


def test_an_alternate_is_tried_when_the_stored_refresh_token_is_dead(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(
        grants(clock, "first", "rt-1"), invalid_grant(), invalid_grant(), grants(clock, "2", "rt-2")
    )
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "newer", "older")
    assert under_test.replace_refused("first").access_token == "2"
    assert endpoint.sent == ["seed-token", "rt-1", "newer", "older"]
    assert read_stored(store, under_test).alternates == ()


@pytest.mark.parametrize("place", ["alternate", "predecessor"])
def test_a_token_that_is_accepted_in_the_place_of_the_stored_one_takes_its_place(
    store: ClockedStore, clock: FakeClock, place: str
) -> None:
    unrotated = [grants(clock, name, None) for name in ("2", "3")]
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), invalid_grant(), *unrotated)
    under_test = manager(store, endpoint)
    under_test.token()
    given = {"alternates": ("living",)} if place == "alternate" else {"predecessor": "living"}
    store.change(read_stored(store, under_test), lambda record: replace(record, **given))
    assert under_test.replace_refused("first").access_token == "2"
    record = read_stored(store, under_test)
    assert (record.refresh_token, record.alternates, record.predecessor) == ("living", (), "")
    assert record.lineage == store.cipher.fingerprint("living")
    clock.advance(4000)
    assert manager(store, endpoint).token().access_token == "3"
    assert endpoint.sent == ["seed-token", "rt-1", "living", "living"]


def test_an_alternate_that_another_worker_made_late_is_kept_when_it_was_accepted(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answer() -> Granted:
        rotate_elsewhere(store, under_test.grant_key, clock, "other")
        store.change(read_stored(store, under_test), lambda record: replace(record, alternates=()))
        return grants(clock, "late", None)()

    endpoint = script_endpoint(grants(clock, "first", "rt-1"), invalid_grant(), answer)
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "living")
    assert under_test.replace_refused("first").access_token == "at-other"
    assert read_stored(store, under_test).alternates == ("living",)


def test_what_is_found_elsewhere_never_takes_the_place_of_the_token_that_works(
    store: ClockedStore, clock: FakeClock
) -> None:
    """A server that does not rotate, and writes another thing by the name of a refresh token elsewhere."""

    def find(number: int) -> Callable[[], Granted]:
        ends_at = clock.now() + 4000 * number
        token = Token(f"at-{number}", clock.now(), ends_at)
        return lambda: Granted(token, f"device-{number}", found_at="mfa.id")

    endpoint = script_endpoint(find(1), invalid_grant(), find(2), invalid_grant(), find(3))
    under_test = manager(store, endpoint, "living")
    for number in (1, 2, 3):
        assert under_test.token().access_token == f"at-{number}"
        clock.advance(4000)
    assert endpoint.sent == ["living", "device-1", "living", "device-2", "living"]
    assert read_stored(store, under_test).predecessor == "living"


def test_each_alternate_is_tried_once(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), *[invalid_grant() for _ in range(3)])
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "newer", "older")
    for _ in range(2):
        with pytest.raises(InvalidGrant):
            under_test.replace_refused("first")
    assert endpoint.sent == ["seed-token", "rt-1", "newer", "older"]


def test_an_invalid_grant_is_ignored_when_another_worker_rotated_meanwhile(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answer() -> Any:
        rotate_elsewhere(store, under_test.grant_key, clock, "other")
        return invalid_grant()

    under_test = manager(store, script_endpoint(answer))
    assert under_test.token().access_token == "at-other"
    assert read_stored(store, under_test).lease.owner is None


def test_a_late_answer_leaves_the_newer_pair_and_becomes_an_alternate(
    store: ClockedStore, clock: FakeClock
) -> None:
    def answer() -> Granted:
        rotate_elsewhere(store, under_test.grant_key, clock, "other")
        return grants(clock, "late", "rt-late")()

    under_test = manager(store, script_endpoint(answer))
    assert under_test.token().access_token == "at-other"
    record = read_stored(store, under_test)
    assert (record.refresh_token, record.alternates) == ("rt-other", ("rt-late",))


def test_a_lost_answer_is_requested_once_more(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(lose_answer(), grants(clock, "at", "rt-1"))
    assert manager(store, endpoint).token().access_token == "at"
    assert endpoint.sent == ["seed-token", "seed-token"]


def test_a_lost_answer_followed_by_a_refusal_is_not_reported_as_revocation(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(lose_answer(), invalid_grant())
    with pytest.raises(RefreshResponseLost):
        manager(store, endpoint).token()


def test_doubt_outlives_the_worker_that_had_it(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(lose_answer(), lose_answer(), down(40), invalid_grant())
    for pause, kind in ((60, TokenEndpointUnavailable), (60, TokenEndpointUnavailable)):
        with pytest.raises(kind):
            manager(store, endpoint).token()
        clock.advance(pause)
    with pytest.raises(RefreshResponseLost):
        manager(store, endpoint).token()


def test_an_alternate_that_is_refused_without_doubt_is_a_revocation(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), invalid_grant(), invalid_grant())
    under_test = manager(store, endpoint)
    under_test.token()
    give_alternates(store, under_test, "other")
    with pytest.raises(InvalidGrant):
        under_test.replace_refused("first")


def test_a_holder_that_lost_its_lease_before_the_journal_starts_over(
    store: ClockedStore, clock: FakeClock
) -> None:
    def rob_lease(event: Event) -> None:
        if event.step is Step.LEASED and event.fence == 1:
            taken = store.acquire(event.grant_key, owner="thief", ttl=30, breaking=1)
            assert taken is not None
            clock.advance(31)

    endpoint = script_endpoint(grants(clock, "at", "rt-1"))
    assert manager(store, endpoint, observer=rob_lease).token().access_token == "at"
    assert endpoint.sent == ["seed-token"]


def test_a_lost_answer_is_not_requested_again_when_the_lease_is_almost_over(
    store: ClockedStore, clock: FakeClock
) -> None:
    def slow() -> Any:
        clock.advance(72)
        return lose_answer()

    endpoint = script_endpoint(slow)
    with pytest.raises(TokenEndpointUnavailable):
        manager(store, endpoint).token()
    record = read_stored(store, manager(store, endpoint))
    assert record.journal is not None
    assert record.lease.owner is None


def test_a_failure_after_the_lease_was_lost_is_left_to_the_new_holder(
    store: ClockedStore, clock: FakeClock
) -> None:
    def rob_lease() -> Any:
        assert store.acquire(under_test.grant_key, owner="thief", ttl=30, breaking=1)
        clock.advance(31)
        return down(40)

    endpoint = script_endpoint(rob_lease, grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint)
    assert under_test.token().access_token == "at"


def test_a_holder_that_wakes_and_stores_its_answer_stops_the_next_one_from_sending(
    store: ClockedStore, clock: FakeClock
) -> None:
    def wake_the_old_one(event: Event) -> None:
        if event.step is Step.SUPERSEDED:
            rotate_elsewhere(store, event.grant_key, clock, "other")

    endpoint = script_endpoint()
    assert manager(store, endpoint, observer=wake_the_old_one).token().access_token == "at-other"
    assert endpoint.sent == []


def test_a_refusal_does_not_end_a_grant_that_another_worker_renewed_meanwhile(
    store: ClockedStore, clock: FakeClock
) -> None:
    def rotate_meanwhile(event: Event) -> None:
        if event.step is Step.ANSWERED:
            store.meanwhile = lambda: rotate_elsewhere(store, event.grant_key, clock, "other")

    under_test = manager(store, script_endpoint(invalid_grant()), observer=rotate_meanwhile)
    assert under_test.token().access_token == "at-other"
    assert read_stored(store, under_test).state is GrantState.ACTIVE
