"""``Retry-After`` and HTTP dates, as RFC 9110 defines them and as servers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from oauth_taskflow.http_headers import parse_http_date, retry_after

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
CENTURY = 100 * 365 * 86400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("2.5", 2.5),
        (" 7 ", 7.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("Fri Jan 15 08:01:00 2027", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CENTURY),
        ("-5", -5.0),
        ("-3", -3.0),
        ("soon", None),
        ("later", None),
        ("", None),
        ("inf", None),
    ],
)
def test_retry_after_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after(CaseInsensitiveDict({"Retry-After": value}), NOW) == seconds
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_without_the_header_no_wait_is_named() -> None:
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize("late", [0.0, 900.0, -4.0])
def test_a_retry_date_is_compared_with_the_servers_clock(late: float) -> None:
    answer = {"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT", "date": DATE}
    assert retry_after(answer, NOW + late) == 30.0


@given(st.text(max_size=40))
def test_no_retry_after_text_breaks_the_parser(value: str) -> None:
    wait = retry_after({"retry-after": value}, NOW)
    assert wait is None or wait >= 0 or value.strip().startswith("-")


@pytest.mark.parametrize(
    "text",
    [DATE, "Friday, 15-Jan-27 08:00:00 GMT", "Fri Jan 15 08:00:00 2027"],
)
def test_a_date_is_read_in_its_three_forms(text: str) -> None:
    assert parse_http_date(text) == NOW
