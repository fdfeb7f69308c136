"""When a person must agree again: idle and absolute lifetimes, what servers name, and what is said about it."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oauth_taskflow.errors import ConsentRequired, InvalidClient
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.consent import (
    UNKNOWN,
    Consent,
    RefreshLifetimes,
    is_due_soon,
    refresh_deadline,
    renew_consent,
)
from oauth_taskflow.tokens.state.record import GrantState
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    Answer,
    ScriptedEndpoint,
    grants,
    invalid_client,
    invalid_grant,
    invalid_scope,
    script_endpoint,
)
from tests.tokens.grant import manager, read_stored

DAY = 86400.0
IDLE = RefreshLifetimes(idle=60 * DAY)
FROM_CONSENT = RefreshLifetimes(absolute=180 * DAY)
IDLE_OR_A_YEAR = RefreshLifetimes(idle=90 * DAY, absolute=365 * DAY)


def token_with(now: float, extras: dict[str, Any] | None = None) -> Token:
    """A token of an hour whose response said ``extras``."""
    return Token("at", now, now + 3600, extras=extras or {})


def ends(known: RefreshLifetimes, *days: float, extras: dict[str, Any] | None = None) -> float:
    """After refreshes on ``days``, in how many days from the first one the consent ends."""
    consent: Consent | None = None
    for day in days:
        consent = renew_consent(consent, token_with(day * DAY, extras), known, rotated=False)
    assert consent is not None
    assert consent.ends_at is not None
    return consent.ends_at / DAY


def test_an_idle_lifetime_restarts_with_each_refresh() -> None:
    assert ends(IDLE, 0) == 60
    assert ends(IDLE, 0, 30, 70) == 130


def test_an_absolute_lifetime_counts_from_the_consent_whatever_happens() -> None:
    assert ends(FROM_CONSENT, 0, 30, 170) == 180


def test_the_earlier_of_idle_and_absolute_end_counts() -> None:
    assert ends(IDLE_OR_A_YEAR, 0) == 90
    assert ends(IDLE_OR_A_YEAR, 0, 80, 160, 240, 300) == 365


@pytest.mark.parametrize(
    "name", ["refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"]
)
def test_the_servers_lifetime_takes_precedence_over_the_presets(name: str) -> None:
    assert ends(IDLE, 0, 10, extras={name: str(3 * 86400)}) == 13
    assert ends(UNKNOWN, 0, extras={name: 86400.0}) == 1
    assert ends(FROM_CONSENT, 0, 100, extras={name: 100 * 86400}) == 180


def test_a_path_names_the_field_and_instants_are_read_in_any_form() -> None:
    rule = RefreshLifetimes(path="data.until")
    for value in (1_800_000_000, "1800000000", 1_800_000_000_000, "2027-01-15T08:00:00Z"):
        assert ends(rule, 20000, extras={"data": {"until": value}}) == 1_800_000_000 / DAY
    other = renew_consent(None, token_with(0, {"refresh_expires_in": 5}), rule, rotated=False)
    assert other.ends_at is None


@pytest.mark.parametrize("value", [0, "0", -5, None, "soon", [1], True, float("inf"), 1e300])
def test_an_unusable_lifetime_leaves_the_presets(value: object) -> None:
    assert ends(IDLE, 0, extras={"refresh_expires_in": value}) == 60


@given(st.floats() | st.floats().map(str))
def test_every_lifetime_value_of_a_server_gives_a_printable_end(value: float | str) -> None:
    extras = {"refresh_expires_in": value}
    end = renew_consent(None, token_with(1e9, extras), UNKNOWN, rotated=False).ends_at
    assert end is None or 1e9 <= end < 5e9


def test_an_end_named_with_the_first_token_holds_until_another_refresh_token_comes() -> None:
    first = renew_consent(
        None, token_with(0, {"refresh_token_expires_in": 1000}), UNKNOWN, rotated=True
    )
    same = renew_consent(first, token_with(500), UNKNOWN, rotated=False)
    assert (same.stated, same.ends_at) == (1000, 1000)
    assert renew_consent(same, token_with(600), UNKNOWN, rotated=True).ends_at is None


def test_a_lifetime_that_counts_down_is_an_end_that_no_refresh_moves() -> None:
    first = renew_consent(
        None, token_with(0, {"refresh_token_expires_in": 1000}), UNKNOWN, rotated=False
    )
    down = renew_consent(
        first, token_with(400, {"refresh_token_expires_in": 600}), UNKNOWN, rotated=False
    )
    up = renew_consent(
        first, token_with(400, {"refresh_token_expires_in": 1000}), UNKNOWN, rotated=False
    )
    assert (first.slides, down.slides, up.slides) == (True, False, True)


def test_people_are_warned_a_week_ahead_of_an_end_that_tasks_cannot_move() -> None:
    fixed, sliding = Consent(0, None, 30 * DAY), Consent(0, None, 30 * DAY, slides=True)
    assert not is_due_soon(fixed, token_with(0), 22.9 * DAY)
    assert is_due_soon(fixed, token_with(0), 23.1 * DAY)
    assert not is_due_soon(sliding, token_with(29 * DAY), 29 * DAY)
    # The refresh that was due has not succeeded.
    assert is_due_soon(sliding, Token("at", 0, 31 * DAY), 29 * DAY)
    assert is_due_soon(sliding, Token("at", 0, None), 29 * DAY)
    assert not is_due_soon(None, None, 0)


@pytest.mark.parametrize(
    ("access", "idle", "by"),
    [
        (3600, 60 * DAY, math.inf),  # refreshed every hour anyway
        (30 * DAY, 60 * DAY, math.inf),  # Pinterest
        (60 * DAY - 56, 60 * DAY, 46 * DAY),  # Instagram: both end together
        (None, 30 * DAY, 16 * DAY),  # Salesforce, when neither side says how long a token lives
        (2 * DAY, 3 * DAY, 1.5 * DAY),
    ],
)
def test_a_refresh_token_is_used_in_good_time_before_it_dies_unused(
    access: float | None, idle: float, by: float
) -> None:
    token = Token("at", 0.0, access)
    consent = renew_consent(None, token, RefreshLifetimes(idle=idle), rotated=True)
    assert refresh_deadline(consent, token) == by
    assert refresh_deadline(replace(consent, slides=False), token) == math.inf


@pytest.mark.parametrize("lifetime", [60 * DAY, None])
def test_an_access_token_that_outlives_its_refresh_token_is_refreshed_in_good_time(
    store: ClockedStore, clock: FakeClock, lifetime: float | None
) -> None:
    answers = (grants(clock, name, f"rt-{name}", lifetime=lifetime) for name in "ab")
    under_test, endpoint = provider_manager(store, IDLE, *answers)
    under_test.token()
    clock.advance(45 * DAY)
    under_test.token()
    await_refresh(under_test)
    assert len(endpoint.sent) == 1
    clock.advance(2 * DAY)
    under_test.token()
    await_refresh(under_test)
    assert endpoint.sent == ["seed-token", "rt-a"]
    assert under_test.token().access_token == "b"


def await_refresh(under_test: TokenManager) -> None:
    """Wait for the refresh in the background, if there is one."""
    flight = under_test._calls._call
    if flight is not None:
        flight.result()


def provider_manager(
    store: ClockedStore, known: RefreshLifetimes, *answers: Answer
) -> tuple[TokenManager, ScriptedEndpoint]:
    endpoint = script_endpoint(*answers)
    options = ManagerOptions(refresh_lifetimes=known)
    return manager(store, endpoint, options=options), endpoint


def test_the_end_is_kept_with_the_grant_and_survives_a_new_process(
    store: ClockedStore, clock: FakeClock
) -> None:
    began = clock.now()
    under_test, _ = provider_manager(store, FROM_CONSENT, grants(clock, "a", "rt-1"))
    under_test.token()
    clock.advance(100 * DAY)
    again, _ = provider_manager(store, FROM_CONSENT, grants(clock, "b", "rt-2"))
    again.token()
    assert read_stored(store, again).consent == Consent(began, None, began + 180 * DAY)


def test_a_new_consent_restarts_its_lifetime(store: ClockedStore, clock: FakeClock) -> None:
    under_test, _ = provider_manager(store, FROM_CONSENT, grants(clock, "a"))
    under_test.token()
    clock.advance(100 * DAY)
    _, by_login = under_test.stored.expect_consent().store(
        Granted(token_with(clock.now()), "rt-login")
    )
    assert by_login.consent == Consent(clock.now(), None, clock.now() + 180 * DAY)
    clock.advance(50 * DAY)
    options = ManagerOptions(refresh_lifetimes=FROM_CONSENT)
    edited = manager(store, script_endpoint(grants(clock, "b")), seed="another", options=options)
    edited.token()
    consent = read_stored(store, edited).consent
    assert consent is not None
    assert consent.since == clock.now()


def test_a_revoked_grant_and_one_without_refresh_token_have_no_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, _ = provider_manager(store, IDLE, grants(clock, "a"))
    under_test.token()
    assert under_test.stored.store_revocation(under_test.stored.read()).consent is None
    alone = TokenManager.for_grant(
        store, script_endpoint(grants(clock, "b")), ClientCredentials(), clock=clock
    )
    alone.token()
    assert read_stored(store, alone).consent is None


def test_the_log_says_once_that_consent_is_due(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [grants(clock, name) for name in "abcd"]
    under_test, _ = provider_manager(store, FROM_CONSENT, *answers)
    with caplog.at_level(logging.WARNING, "oauth_taskflow.tokens"):
        for day in (0, 170, 4, 1):
            clock.advance(day * DAY)
            under_test.token()
    assert [record.getMessage() for record in caplog.records] == [
        "connection crm: its refresh tokens end on 2027-07-14T08:00:00Z, and a person must agree again: "
        "airflow oauth login crm"
    ]


@pytest.mark.parametrize("refusal", [invalid_grant, invalid_scope])
def test_after_the_end_the_server_is_asked_only_once_more(
    store: ClockedStore, clock: FakeClock, refusal: Any
) -> None:
    under_test, endpoint = provider_manager(store, FROM_CONSENT, grants(clock, "a"), refusal())
    under_test.token()
    clock.advance(181 * DAY)
    for _ in range(3):
        with pytest.raises(ConsentRequired) as caught:
            under_test.token()
        clock.advance(DAY)
    code = refusal().error.error
    assert str(caught.value) == (
        f"Refresh token refused ({code}, HTTP 400): it ended on 2027-07-14T08:00:00Z for connection 'crm' at "
        "id.example.com/token. Authorize the connection again: airflow oauth login crm"
    )
    assert read_stored(store, under_test).state is GrantState.NEEDS_CONSENT
    assert len(endpoint.sent) == 2


def test_a_server_that_still_accepts_the_refresh_token_has_the_last_word(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, _ = provider_manager(store, FROM_CONSENT, grants(clock, "a"), grants(clock, "b"))
    under_test.token()
    clock.advance(200 * DAY)
    assert under_test.token().access_token == "b"


def test_a_refused_client_is_not_reported_as_an_ended_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test, _ = provider_manager(store, FROM_CONSENT, grants(clock, "a"), invalid_client())
    under_test.token()
    clock.advance(200 * DAY)
    with pytest.raises(InvalidClient):
        under_test.token()
