"""The meaning of a stored grant for people, and when it should be used."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import ConsentRequired, InvalidClient, TokenEndpointUnavailable
from oauth_taskflow.notices.trouble import Limits, Look, look_at
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.state.consent import Consent
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord, GrantState, LastFailure

DAY, NOW = 86_400.0, 1_800_000_000.0
HEALTHY = GrantRecord(
    "key",
    "crm",
    state=GrantState.ACTIVE,
    token=Token("at", NOW - 3600, NOW),
    refresh_token="rt",
    read_at=ClockSample(NOW, NOW, 0.0),
)


def fail(record: GrantRecord, ago: float, kind: str = "away", **changes: Any) -> GrantRecord:
    error = {
        "away": TokenEndpointUnavailable("away", where="at id.example.com"),
        "client": InvalidClient(error="invalid_client", status=401, where="at id.example.com"),
        "consent": ConsentRequired(error="consent_required", status=400, where="at id.example.com"),
    }[kind]
    failure = LastFailure.from_error(error, "", None, 1).follow(None, NOW - ago)
    return replace(record, last_failure=failure, **changes)


def look(record: GrantRecord, *, by_person: bool = True, has_seed: bool = True) -> Look:
    return look_at(record, Limits(), by_person=by_person, has_seed=has_seed)


def kinds(record: GrantRecord, **options: bool) -> list[str]:
    return [one.kind for one in look(record, **options).troubles]


def consent(ends: float, *, began: float = 100 * DAY, slides: bool = False) -> Consent:
    """A consent that ends in ``ends`` seconds."""
    return Consent(NOW - began, None, NOW + ends, slides)


def test_a_healthy_grant_is_left_alone() -> None:
    assert look(HEALTHY) == Look()


@pytest.mark.parametrize("state", [GrantState.NEEDS_CONSENT, GrantState.REVOKED])
def test_an_ended_grant_needs_a_person_and_nothing_else_counts(state: GrantState) -> None:
    ended = fail(HEALTHY, 9999, "client", state=state, consent=consent(-DAY))
    (trouble,) = look(ended).troubles
    assert (trouble.kind, trouble.since) == ("needs_consent", NOW - 9999)


def test_a_server_that_asks_for_consent_needs_a_person_whatever_the_grant() -> None:
    asked = fail(HEALTHY, 1, "consent", state=GrantState.MISCONFIGURED, refresh_token=None)
    assert kinds(asked, by_person=False) == ["needs_consent"]


def test_a_connection_that_nobody_authorized_needs_a_person() -> None:
    new = GrantRecord("key", read_at=HEALTHY.read_at)
    assert kinds(new, has_seed=False) == ["needs_consent"]
    assert kinds(new, has_seed=True) == []
    assert look(
        new, has_seed=True
    ).is_refresh_due  # begins with the refresh token of the connection
    assert kinds(new, has_seed=False, by_person=False) == []


def test_a_consent_without_a_refresh_token_needs_a_person_when_its_access_token_ends() -> None:
    without = replace(HEALTHY, refresh_token=None)
    (trouble,) = look(without).troubles
    assert trouble.kind == "needs_consent"
    assert "many servers want the scope offline_access" in trouble.problem
    assert kinds(replace(without, token=Token("at", NOW, NOW + 60))) == []
    assert kinds(replace(without, token=Token("at", NOW, None))) == []


@pytest.mark.parametrize(
    ("ends", "began", "expected"),
    [
        (6 * DAY, 100 * DAY, ["consent_due"]),
        (8 * DAY, 100 * DAY, []),
        (6 * DAY, 0.0, []),  # a consent that lasts a week is not due at once
        (6 * DAY, 6.5 * DAY, ["consent_due"]),
        (-DAY, 100 * DAY, ["consent_due"]),
    ],
)
def test_a_consent_is_due_a_week_ahead_at_most_half_of_its_life(
    ends: float, began: float, expected: list[str]
) -> None:
    assert kinds(replace(HEALTHY, consent=consent(ends, began=began))) == expected


def test_an_end_that_the_next_refresh_moves_is_no_trouble_until_that_refresh_is_late() -> None:
    fresh = replace(HEALTHY, token=Token("at", NOW - DAY, NOW))
    assert look(replace(fresh, consent=consent(4 * DAY, slides=True))) == Look()
    late = look(replace(fresh, consent=consent(0.5 * DAY, slides=True)))
    assert [one.kind for one in late.troubles] == ["consent_due"]
    assert late.is_refresh_due


def test_failing_refreshes_are_a_trouble_after_ten_minutes_and_are_tried_again() -> None:
    assert look(fail(HEALTHY, 599)) == Look((), is_refresh_due=True)
    assert kinds(fail(HEALTHY, 600)) == ["refresh_failing"]
    both = fail(HEALTHY, 600, "client", consent=consent(DAY))
    assert kinds(both) == ["consent_due", "refresh_failing"]


def test_a_grant_whose_idle_limit_is_unknown_is_used_once_a_week() -> None:
    week = 7 * DAY
    for age, due in ((week - 1, False), (week, True)):
        assert look(replace(HEALTHY, token=Token("at", NOW - age, NOW))).is_refresh_due is due
    old = replace(HEALTHY, token=Token("at", NOW - week, NOW), refresh_token=None)
    assert not look(old, by_person=False).is_refresh_due


def test_a_known_idle_limit_counts_instead_half_way_or_two_weeks_before() -> None:
    for age, left, due in ((8 * DAY, 52 * DAY, False), (46 * DAY, 14 * DAY, True), (2, 1, True)):
        record = replace(
            HEALTHY,
            token=Token("at", NOW - age, NOW),
            consent=consent(left, began=age, slides=True),
        )
        assert look(record).is_refresh_due is due
