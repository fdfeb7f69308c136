"""Lifetimes, instants and waits, as servers write them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.http_headers import parse_http_date, server_skew
from oauth_taskflow.oauth.endpoint import expiry
from oauth_taskflow.oauth.token import Token, TokenState

NOON = 1_800_000_000.0
NOON_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (3600, 3600.0),
        (3600.5, 3600.5),
        ("3600", 3600.0),
        ("3600.0", 3600.0),
        (" 60 ", 60.0),
        (0, None),
        ("0", None),
        (-1, None),
        ("", None),
        (None, None),
        (True, None),
        ("soon", None),
        ([], None),
        ({}, None),
        ("nan", None),
        ("inf", None),
        (10**400, None),
        (1e300, None),
    ],
)
def test_expires_in_in_every_shape(written: object, seconds: float | None) -> None:
    assert expiry.lifetime(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        NOON,
        str(int(NOON)),
        NOON * 1000,
        str(int(NOON * 1000)),
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:00:00",
        "2027-01-15T09:00:00+01:00",
        "2027-01-15 08:00:00",
        "2027-01-15T08:00:00.0000000Z",
        "2027-01-15T08:00:00.000000000Z",
        "2027-01-15T08:00:00.0Z",
        "2027-01-15T09:00:00+0100",
        "2027-01-15 08:00:00 +0000",
        "Fri, 15 Jan 2027 08:00:00 GMT",
    ],
)
def test_instants_in_every_shape(written: object) -> None:
    assert expiry.instant(written) == NOON


@pytest.mark.parametrize("written", [None, "", "tomorrow", 0, -5, [], "0001-01-01T00:00:00+23:00"])
def test_other_values_are_not_instants(written: object) -> None:
    found = expiry.instant(written)
    assert found is None or found < 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (60, 60),
        ("60.5", 60.5),
        (NOON + 60, 60),
        (str(int(NOON + 60) * 1000), 60),
        ("2027-01-15T08:01:00Z", 60),
        (0, None),
        (-1, None),
        (True, None),
        ("soon", None),
        (NOON - 60, None),
        ("2027-01-15T07:59:00Z", None),
    ],
)
def test_an_end_is_a_lifetime_or_an_instant_to_come(written: object, seconds: float | None) -> None:
    found = expiry.find_end(written, now=NOON)
    assert found == (None if seconds is None else NOON + seconds)


def test_an_instant_is_moved_by_the_skew_and_a_lifetime_is_not() -> None:
    assert expiry.find_end(60, now=NOON, skew=20) == NOON + 60
    assert expiry.find_end(NOON + 60, now=NOON, skew=20) == NOON + 40


def jwt(claims: object) -> str:
    """An unsigned token with those claims."""
    middle = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{middle}.sig"


@pytest.mark.parametrize(
    ("token", "expires_at"),
    [
        (jwt({"exp": NOON}), NOON),
        (jwt({"exp": "soon"}), None),
        (jwt({}), None),
        (jwt([]), None),
        ("opaque", None),
        ("a.!!!.c", None),
        ("a.bm90IGpzb24.c", None),
    ],
)
def test_the_exp_claim_of_a_jwt(token: str, expires_at: float | None) -> None:
    assert expiry.jwt_expiry(token) == expires_at


def expiry_of(body: dict[str, Any], token: str = "opaque", **options: float | None) -> float | None:
    """``expiry.standard_expiry`` for a request sent at noon."""
    skew = options.get("skew") or 0.0
    return expiry.standard_expiry(
        body, token, sent_at=NOON, skew=skew, default=options.get("default")
    )


def test_expires_in_counts_from_the_sending_and_wins() -> None:
    assert expiry_of({"expires_in": 60, "expires_at": NOON + 999}) == NOON + 60


def test_expires_in_that_is_an_instant_is_taken_for_one() -> None:
    assert expiry_of({"expires_in": str(int(NOON + 60))}) == NOON + 60


def test_expires_at_and_expires_on_are_on_the_servers_clock() -> None:
    assert expiry_of({"expires_at": NOON + 90}, skew=30.0) == NOON + 60
    assert expiry_of({"expires_on": str(int(NOON + 60))}) == NOON + 60


def test_a_jwt_is_read_when_the_answer_names_no_lifetime() -> None:
    assert expiry_of({}, jwt({"exp": NOON + 60})) == NOON + 60


def test_an_instant_in_the_past_names_no_lifetime() -> None:
    assert expiry_of({"expires_at": NOON - 60}, default=300.0) == NOON + 300


def test_without_any_lifetime_the_default_counts_and_without_that_none() -> None:
    assert expiry_of({"expires_in": 0}, default=300.0) == NOON + 300
    assert expiry_of({"expires_in": None}) is None


@pytest.mark.parametrize(
    ("local", "skew"), [(NOON, 0.0), (NOON - 1.5, 0.0), (NOON - 60, 60.0), (NOON + 60, -60.0)]
)
def test_skew_is_the_servers_clock_minus_ours(local: float, skew: float) -> None:
    assert server_skew({"date": NOON_DATE}, local) == skew


def test_without_a_date_there_is_no_skew() -> None:
    assert server_skew({}, NOON) is None


@pytest.mark.parametrize(
    "date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "noon"]
)
def test_an_impossible_date_gives_no_skew(date: str) -> None:
    assert server_skew({"date": date}, NOON) is None


def test_a_missing_lifetime_stays_missing_whatever_the_skew() -> None:
    assert expiry.find_end(None, now=NOON, skew=-NOON - 5) is None


@given(st.text())
def test_any_text_as_a_date_is_a_number_or_none(text: str) -> None:
    assert isinstance(parse_http_date(text), float | None)
    assert isinstance(expiry.instant(text), float | None)
    assert isinstance(expiry.jwt_expiry(text), float | None)


@given(st.floats(0.001, 1e7), st.floats(0, 1e4), st.floats(0, 1.2), st.floats(-1e6, 1e9))
def test_a_token_is_fresh_then_stale_then_expired(
    seconds: float, leeway: float, share: float, start: float
) -> None:
    token = Token("at", start, start + seconds)
    states = [TokenState.FRESH, TokenState.STALE, TokenState.EXPIRED]
    ages = sorted((0.0, 0.89 * seconds, share * seconds, 1.001 * seconds + 1))
    seen = [states.index(token.state(start + age, leeway)) for age in ages]
    assert seen == sorted(seen)
    assert seen[-1] == 2


@given(st.floats(1, 1e7), st.floats(0, 1e4))
def test_staleness_begins_at_most_a_tenth_of_the_lifetime_before_expiry(
    seconds: float, leeway: float
) -> None:
    stale_at = Token("at", 0.0, seconds).stale_at(leeway)
    assert stale_at is not None
    assert seconds - stale_at == pytest.approx(min(leeway, seconds / 10), abs=1e-6)


def test_a_token_without_expiry_is_always_fresh() -> None:
    assert Token("at", 0.0).state(1e18, 60) is TokenState.FRESH
