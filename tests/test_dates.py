"""Dates of APIs: every form, exact, and nothing that could mean two instants."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import ExactFloat
from oauth_taskflow.date_forms import FORMS, find_form_flaw
from oauth_taskflow.dates import (
    Instant,
    UnreadableDate,
    build_reader,
    is_empty_date,
    read_instant,
)

UTC = timezone.utc
DECEMBER = "2012-12-14T23:12:03Z"


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("iso", "2012-12-14T23:12:03Z", DECEMBER),
        ("iso", " 2012-12-14 23:12:03 UTC ", DECEMBER),
        ("iso", "2012-12-15T00:12:03.5+01:00", "2012-12-14T23:12:03.500Z"),
        ("iso", "2012-12-14t23:12:03,000000005z", "2012-12-14T23:12:03.000000005Z"),
        ("iso", "2012-12-14T23:12:03.1234567Z", "2012-12-14T23:12:03.123456700Z"),
        ("iso", "2012-12-14T23:12:03.1234567891Z", "2012-12-14T23:12:03.123456789Z"),
        ("iso", "2012-12-14T19:12-04", "2012-12-14T23:12:00Z"),
        ("iso", "2012-12-14", "2012-12-14T00:00:00Z"),
        ("iso", "20121214T231203Z", DECEMBER),
        ("iso", "20121214", "2012-12-14T00:00:00Z"),
        ("iso", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("iso", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("iso", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("date", "2012-12-14", "2012-12-14T00:00:00Z"),
        ("epoch", 1355526723, DECEMBER),
        ("epoch", "1355517523.000005", "2012-12-14T20:38:43.000005Z"),
        ("epoch", 1355517523.000005, "2012-12-14T20:38:43.000005Z"),
        ("epoch", ExactFloat.parse("1355517523.000000007"), "2012-12-14T20:38:43.000000007Z"),
        ("epoch", Decimal(1355526723), DECEMBER),
        ("epoch", "1.355526723e9", DECEMBER),
        ("epoch", -1, "1969-12-31T23:59:59Z"),
        ("epoch", -0.5, "1969-12-31T23:59:59.500Z"),
        ("epoch", 0, "1970-01-01T00:00:00Z"),
        ("epoch_ms", 1355526723007, "2012-12-14T23:12:03.007Z"),
        ("epoch_ms", "1355526723007.25", "2012-12-14T23:12:03.007250Z"),
        ("epoch_us", "1355526723000001", "2012-12-14T23:12:03.000001Z"),
        ("http", "Fri, 14 Dec 2012 23:12:03 GMT", DECEMBER),
        ("http", "Friday, 14-Dec-12 23:12:03 GMT", DECEMBER),
        ("http", "Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z"),
        ("http", "Fri Dec 14 23:12:03 2012", DECEMBER),
        ("http", "14 Dec 2012 18:12:03 EST", DECEMBER),
        ("http", "Fri, 14 Dec 2012 16:12:03 PDT", DECEMBER),
        ("http", "Sat, 15 Dec 2012 00:12 +0100", "2012-12-14T23:12:00Z"),
        ("dotnet", "/Date(1355526723007)/", "2012-12-14T23:12:03.007Z"),
        ("dotnet", "/Date(1355526723007+0100)/", "2012-12-14T23:12:03.007Z"),
        ("dotnet", "/Date(-1)/", "1969-12-31T23:59:59.999Z"),
        ("%d/%m/%Y %H:%M:%S", "14/12/2012 23:12:03", DECEMBER),
        ("%Y%m%d", 20121214, "2012-12-14T00:00:00Z"),
        ("%a, %d %b %Y %H:%M:%S %z", "Sat, 15 Dec 2012 00:12:03 +0100", DECEMBER),
        ("%Y-%m-%d %H:%M:%S %Z", "2012-12-14 23:12:03 GMT", DECEMBER),
        ("%I:%M %p, %d.%m.%y", "11:12 PM, 14.12.12", "2012-12-14T23:12:00Z"),
    ],
)
def test_a_declared_form_is_read_to_the_last_digit(form: str, value: Any, expected: str) -> None:
    assert read_instant(value, form).text == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1355526723, DECEMBER),
        (1355526723007, "2012-12-14T23:12:03.007Z"),
        ("1355526723000001", "2012-12-14T23:12:03.000001Z"),
        (1355526723000000001, "2012-12-14T23:12:03.000000001Z"),
        ("1355517523.000005", "2012-12-14T20:38:43.000005Z"),
        ("/Date(1355526723000+0000)/", DECEMBER),
        ("2012/12/14 23:12:03", DECEMBER),
        ("20121214231203", DECEMBER),
        (20121214, "2012-12-14T00:00:00Z"),
        ("Fri, 14 Dec 2012 23:12:03 GMT", DECEMBER),
        ("Fri Dec 14 23:12:03 2012", DECEMBER),
        ("Dec 14, 2012 11:12:03 PM", DECEMBER),
        ("December 14th, 2012 at 11:12:03 p.m.", DECEMBER),
        ("14-Dec-2012", "2012-12-14T00:00:00Z"),
        ("Friday, 14 December 2012 12:00 AM", "2012-12-14T00:00:00Z"),
    ],
)
def test_any_takes_what_can_have_one_meaning_only(value: Any, expected: str) -> None:
    assert read_instant(value).text == expected


@pytest.mark.parametrize(
    ("form", "value", "reason"),
    [
        ("any", "14/12/2012", "it is in no form that can have one meaning only; name its form"),
        ("any", "14-Dec-12 23:12:03 GMT", "no form that can have one meaning only"),
        ("any", "14 Dec 2012 18:12:03 CST", "no form that can have one meaning only"),
        ("any", "Dec 14, 2012 13:12 PM", "no form that can have one meaning only"),
        ("any", "2012013106", "it may count seconds or show a date with its hour"),
        ("any", 135552672300, "its number of digits does not say the unit"),
        ("any", 5, "its number of digits does not say the unit"),
        ("any", -1355526723, "its number of digits does not say the unit"),
        ("epoch", "1e999999999", "it is a text, not a number"),
        ("any", "1e30", "its number of digits does not say the unit"),
        ("any", True, "it is true or false, not a text or a number"),
        ("any", None, "it is null, not a text or a number"),
        ("any", ["2012-12-14"], "it is a list, not a text or a number"),
        ("any", float("nan"), "it is not a finite number"),
        ("any", "9" * 5000, "it is too long for a date"),
        ("any", 10**90, "it has too many digits for a date"),
        ("iso", 1355526723, "it is a number, and the form iso is a text"),
        ("iso", "2012-13-14", "it is not in the form iso"),
        ("iso", "2012-02-30T00:00:00Z", "it is not in the form iso"),
        ("iso", "2012-12-14T24:00:00Z", "it is not in the form iso"),
        ("iso", "2012-12-14T23:12:03+25:00", "it is not in the form iso"),
        ("iso", "٢٠١٢-12-14", "it is not in the form iso"),
        ("iso", "2012-12-14T23:12:03Z trailing", "it is not in the form iso"),
        ("iso", "9999-12-31T23:59:59-01:00", "it is beyond the years 1 to 9999"),
        ("date", "2012-12-14T00:00:00Z", "it is not in the form date"),
        ("epoch", "soon", "it is a text, not a number"),
        ("epoch", "1_355_526_723", "it is a text, not a number"),
        ("epoch", True, "it is true or false, not a number"),
        ("epoch", 1e300, "it is beyond the years 1 to 9999"),
        ("epoch", "1e999", "it is beyond the years 1 to 9999"),
        ("epoch", 10**90, "it is beyond the years 1 to 9999"),
        ("epoch", 10**18, "it is beyond the years 1 to 9999"),
        ("http", "14 Foo 2012 00:00:00 GMT", "it is not in the form http"),
        ("http", "Fri, 14 Dec 2012 23:12:03", "it is not in the form http"),
        ("dotnet", "Date(1355526723007)", "it is not in the form dotnet"),
        ("dotnet", "/Date(9999999999999999)/", "it is beyond the years 1 to 9999"),
        ("%d/%m/%Y", "12/14/2012", "it is not in the form %d/%m/%Y"),
        ("%d/%m/%Y", 1.5, "it is a number, and the form %d/%m/%Y is a text"),
        ("%Y-%m-%d %Z", "2012-12-14 EST", "it is not in the form %Y-%m-%d %Z"),
    ],
)
def test_an_unreadable_date_has_a_reason(form: str, value: Any, reason: str) -> None:
    with pytest.raises(UnreadableDate) as caught:
        read_instant(value, form)
    assert reason in caught.value.reason


def test_a_zone_name_of_the_machine_is_not_taken_for_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            with pytest.raises(UnreadableDate, match="the name of its zone is neither UTC nor GMT"):
                read_instant("2012-12-14 EST", "%Y-%m-%d %Z")
        finally:
            patched.delenv("TZ")
            time.tzset()


def test_the_first_form_that_fits_counts() -> None:
    forms = ["%d/%m/%Y", "%m/%d/%Y", "epoch"]
    assert read_instant("02/01/2012", forms).text == "2012-01-02T00:00:00Z"
    assert read_instant("12/14/2012", forms).text == "2012-12-14T00:00:00Z"
    assert read_instant(1355526723, forms).text == DECEMBER
    with pytest.raises(
        UnreadableDate, match="it is in none of the forms %d/%m/%Y, %m/%d/%Y, epoch"
    ):
        read_instant("soon", forms)
    assert read_instant(1355526723, ["epoch"]).text == DECEMBER


def test_a_time_without_zone_is_in_the_zone_given() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert read_instant("2026-07-01 12:00:00", "iso", berlin).text == "2026-07-01T10:00:00Z"
    assert read_instant("2026-01-01 12:00:00", "iso", berlin).text == "2026-01-01T11:00:00Z"
    assert read_instant("2026-01-01T12:00:00Z", "iso", berlin).text == "2026-01-01T12:00:00Z"
    assert read_instant("01.07.2026", "%d.%m.%Y", berlin).text == "2026-06-30T22:00:00Z"
    assert read_instant(0, "epoch", berlin).text == "1970-01-01T00:00:00Z"
    # Clocks go back: of the two instants called 02:30, the first.
    assert read_instant("2026-10-25 02:30", "iso", berlin).text == "2026-10-25T00:30:00Z"


@pytest.mark.parametrize(
    ("value", "empty"),
    [
        (None, True),
        ("", True),
        ("  ", True),
        ("0000-00-00", True),
        ("0000-00-00 00:00:00", True),
        ("0000-00-00T00:00:00.000Z", True),
        (0, False),
        ("0", False),
        ("2012-12-14", False),
    ],
)
def test_zeros_and_blanks_are_the_absence_of_a_date(value: Any, *, empty: bool) -> None:
    assert is_empty_date(value) is empty


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])))
def test_what_python_writes_is_read_back_exactly(moment: datetime) -> None:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    assert read_instant(moment.isoformat(), "iso").moment == utc
    assert read_instant(moment.isoformat()).moment == utc
    micros = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read_instant(micros, "epoch_us").moment == utc
    assert read_instant(f"{Decimal(micros).scaleb(-6):f}", "epoch").moment == utc
    assert read_instant(read_instant(moment.isoformat(), "iso").text).moment == utc
    if moment.year > 999:
        assert read_instant(format_datetime(moment), "http").moment == utc.replace(microsecond=0)


@given(
    st.one_of(
        st.text(max_size=40), st.integers(), st.floats(), st.none(), st.booleans(), st.binary()
    )
)
def test_any_value_is_an_instant_or_unreadable(value: Any) -> None:
    for form in [*FORMS, "%Y-%m-%d", "%d %b %Y %H:%M %Z"]:
        with suppress(UnreadableDate):
            assert isinstance(build_reader(form)(value), Instant)


@given(st.from_regex(r"[0-9/Date()TZ:. +\-]{1,30}", fullmatch=True))
def test_texts_like_dates_are_an_instant_or_unreadable(text: str) -> None:
    test_any_value_is_an_instant_or_unreadable.hypothesis.inner_test(text)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("form", "message", "hint"),
    [
        ("epochms", "'epochms' is not a form of dates", "Did you mean 'epoch_ms'?"),
        ("%Q-%m-%d", "there is no code %Q for reading", "Write %Y-%m-%dT%H:%M:%S%z."),
        ("%F", "there is no code %F for reading", "Write %Y-%m-%d."),
        ("%s", "a pattern cannot read %s", "Write epoch."),
        ("%c", "%c depends on the language of the machine", "Write its parts: %Y-%m-%d."),
        ("%Y-%m-%d %", "a % without a code", "Write %Y-%m-%dT%H:%M:%S%z."),
        ("%Y-%m-%m", "%m appears twice", "%m is the month, %M are minutes"),
        ("%m-%d", "the pattern reads no year", "Codes from the year on"),
        ("%Y-%M-%d", "the pattern reads no day of the year", "Codes from the year on"),
        ("%Y-%m-%d %M:%S", "the pattern reads no hour", "Codes from the year on"),
        ("%Y-%m-%d %I:%M", "%I counts to twelve and is ambiguous without %p", "Write %H."),
    ],
)
def test_a_form_that_cannot_be_read_has_a_flaw(form: str, message: str, hint: str) -> None:
    flaw = find_form_flaw(form)
    assert flaw is not None
    assert flaw[0] == message
    assert flaw[1].startswith(hint)


@pytest.mark.parametrize(
    "form", [*FORMS, "%Y-%j", "%G-W%V-%u", "%Y %U %a", "%d/%b/%y %I %p", "100%% %Y%m%d"]
)
def test_a_form_that_can_be_read_has_none(form: str) -> None:
    assert find_form_flaw(form) is None


@pytest.mark.parametrize("text", ["0001-01-01 +1400", "9999-12-31 -1400"])
def test_an_instant_outside_the_calendar_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableDate, match="beyond the years 1 to 9999"):
        read_instant(
            text.replace(" ", " 23:00 " if text[0] == "9" else " 00:00 "), "%Y-%m-%d %H:%M %z"
        )
