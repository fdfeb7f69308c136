"""Waits that servers name, and those we choose."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from oauth_taskflow.api.retry import ResetDialect, RetryPolicy
from oauth_taskflow.iso8601 import duration_seconds

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def headers(**values: str) -> CaseInsensitiveDict[str]:
    return CaseInsensitiveDict({name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("dialect", "value", "seconds"),
    [
        ("seconds", "30", 30.0),
        ("epoch", "1800000045", 45.0),
        ("epoch", "1700000000", 0.0),
        ("epoch_ms", "1800000045500", 45.5),
        ("iso", "2027-01-15T08:01:00Z", 60.0),
        ("iso", "2027-01-15T08:01:00", 60.0),
        ("iso", "tomorrow", None),
        ("epoch", "later", None),
        (None, "30", None),
    ],
)
def test_reset_headers_are_read_by_the_declared_dialect_only(
    dialect: ResetDialect | None, value: str, seconds: float | None
) -> None:
    policy = RetryPolicy(reset=dialect, reset_header="X-Reset")
    assert policy.server_wait(429, headers(X_Reset=value), NOW) == seconds


@pytest.mark.parametrize(
    ("dialect", "value"),
    [("epoch", "1800000045"), ("epoch_ms", "1800000045000"), ("iso", "2027-01-15T08:00:45Z")],
)
def test_an_instant_of_reset_is_read_by_the_servers_clock(
    dialect: ResetDialect, value: str
) -> None:
    answer = headers(X_RateLimit_Reset=value, Date=DATE)
    assert RetryPolicy(reset=dialect).server_wait(429, answer, NOW + 900) == 45.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ('"default";r=0;t=30', 30.0),
        ("limit=100, remaining=0, reset=12", 12.0),
        ('"default";r=5;t=30', None),
    ],
)
def test_the_ietf_ratelimit_header_needs_no_dialect(value: str, seconds: float | None) -> None:
    assert RetryPolicy().server_wait(429, headers(RateLimit=value), NOW) == seconds


def test_a_negative_retry_after_names_no_wait() -> None:
    assert RetryPolicy().server_wait(429, headers(Retry_After="-5"), NOW) is None


def test_a_reset_header_means_nothing_on_other_errors() -> None:
    policy = RetryPolicy(reset="seconds")
    assert policy.server_wait(500, headers(X_RateLimit_Reset="30"), NOW) is None


@pytest.mark.parametrize(
    ("extra", "transient"),
    [
        ({"X_RateLimit_Remaining": "0"}, True),
        ({"Retry_After": "3"}, True),
        ({"X_RateLimit_Remaining": "9"}, False),
    ],
)
def test_a_403_is_transient_only_as_a_used_up_rate_limit(extra: Any, transient: bool) -> None:
    assert RetryPolicy().transient(403, headers(**extra)) is transient


@given(st.integers(1, 10_000))
def test_back_off_stays_between_half_and_the_whole_of_its_step(attempt: int) -> None:
    policy = RetryPolicy(backoff=1.0, backoff_cap=30.0)
    step = min(30.0, 2.0 ** min(attempt - 1, 10))
    assert step / 2 <= policy.backoff_seconds(attempt) <= step


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT30S", 30),
        ("PT1.5S", 1.5),
        ("P7D", 604_800),
        ("P1DT1H", 90_000),
        ("P1W", 604_800),
        ("PT1M", 60),
        ("P1M", 2_592_000),
    ],
)
def test_durations_in_seconds(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["P", "PT", "30", "P1DT", "1D", "pt30s"])
def test_invalid_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration such as PT30S"):
        duration_seconds(text)
