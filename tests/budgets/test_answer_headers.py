"""Limits that an API states in its answers, in the forms that APIs use."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from oauth_taskflow.budgets.answer_headers import LimitHeaders, find_wait, read_reset

NOW = 1_800_000_000.0
USUAL = LimitHeaders()


def wait(headers: dict[str, str], names: LimitHeaders = USUAL) -> float | None:
    return find_wait(CaseInsensitiveDict(headers), names, NOW)


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        ("40", 40),
        ("0.5", 0.5),
        (f"{NOW + 90:.0f}", 90),
        (f"{(NOW + 90) * 1000:.0f}", 90),
        ("2027-01-15T08:01:30Z", 90),
        ("2027-01-15T10:01:30+02:00", 90),
        (formatdate(NOW + 90, usegmt=True), 90),
    ],
)
def test_the_end_of_a_limit_is_read_in_every_usual_form(reset: str, expected: float) -> None:
    assert wait({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    "reset",
    [
        *("", "-5", "0", "soon", "1e9", "9999-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "NaN"),
        str(int(NOW - 60)),
        "99999999",  # three years of seconds
        "9" * 18,
        "9" * 400,
        "0x1F",
    ],
)
def test_values_that_make_no_sense_are_ignored(reset: str) -> None:
    assert wait({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}) is None


@pytest.mark.parametrize("left", ["", "5", "0.5", "-1", "none", "unlimited", "0, 0"])
def test_only_a_limit_of_which_nothing_is_left_is_waited_for(left: str) -> None:
    assert wait({"X-RateLimit-Remaining": left, "X-RateLimit-Reset": "40"}) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("limit=100, remaining=0, reset=50", 50),
        ("limit=100, remaining=1, reset=50", None),
        ('"default";r=0;t=50', 50),
        ('"burst";r=0;t=1, "daily";r=10;t=5000', 1),
        ('"burst";r=0;t=1, "daily";r=0;t=5000', 5000),
        ('"burst";r=0', None),
        (";;;,,,", None),
    ],
)
def test_the_field_of_the_ietf_is_read_policy_by_policy(value: str, expected: float | None) -> None:
    assert wait({"RateLimit": value}) == expected


def test_the_servers_clock_counts_for_instants() -> None:
    date = formatdate(NOW + 1000, usegmt=True)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 1030:.0f}", "Date": date}
    assert wait(headers) == pytest.approx(30)


def test_named_headers_replace_the_usual_ones() -> None:
    names = LimitHeaders("X-Day-Left", "X-Day-Reset")
    usual = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "40"}
    assert wait(usual, names) is None
    assert wait({**usual, "X-Day-Left": "0", "X-Day-Reset": "7"}, names) == 7
    assert wait({"X-RateLimit-Remaining": "0", "X-Own": "9"}, LimitHeaders(reset="X-Own")) == 9


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=60))
def test_any_header_gives_a_wait_of_at_most_a_month_or_none(
    left: str, reset: str, field: str
) -> None:
    headers = {"X-RateLimit-Remaining": left, "X-RateLimit-Reset": reset, "RateLimit": field}
    found = wait(headers)
    assert found is None or 0 < found <= 31 * 86_400
    assert read_reset(reset, NOW) is None or left is not None
