"""Dates of any form become RFC 3339 in UTC, exact to the nanosecond."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.date_codes import build_code_reader
from oauth_taskflow.date_forms import FORMS
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.convert import Inconvertible
from oauth_taskflow.fields.dates import build_date_converter, is_canonical
from tests.fields.reshape import reshape

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=ZONES)  # noqa: DTZ001
# Every part of a date, in one pattern or another.
NO_EPOCHS: list[Any] = [1577836800000, "x", True, "1e30", "NaN", "٣", "1_0"]
NO_DATES: list[Any] = [1577836800, True, [], {}, "0001-01-01T00:00:00+14:00"]
PATTERNS = (
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%a, %d %b %Y %H:%M:%S.%f %z",
    "%A %d %B %Y, %I:%M:%S.%f %p %z",
    "%d/%m/%Y %H:%M:%S.%f %z",
    "%Y%m%d%H%M%S.%f%z",
    "%j %Y %H:%M:%S.%f %z",
)


def utc(moment: datetime) -> str:
    whole = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    spec = whole if moment.microsecond else "seconds"
    return moment.astimezone(timezone.utc).isoformat(timespec=spec).replace("+00:00", "Z")


@given(INSTANTS, st.sampled_from(PATTERNS))
def test_what_strftime_writes_is_read_back(moment: datetime, pattern: str) -> None:
    assert reshape({"a": moment.strftime(pattern)}, dates={"a": pattern}) == {"a": utc(moment)}


@given(INSTANTS)
def test_iso_any_and_epochs_agree(moment: datetime) -> None:
    seconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    record = {"iso": moment.isoformat(timespec="microseconds"), "us": seconds}
    assert reshape(record, dates={"iso": "iso", "us": "epoch_us"}) == dict.fromkeys(
        record, utc(moment)
    )
    assert reshape({"a": record["iso"]}, dates={"*": "any"}) == {"a": utc(moment)}


@given(INSTANTS, st.sampled_from(["milliseconds", "microseconds", "seconds"]))
def test_a_written_date_stays_as_it_is(moment: datetime, timespec: str) -> None:
    text = moment.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")
    assert is_canonical(text)
    for form in ("iso", "any"):
        assert reshape({"a": text}, dates={"a": form}) == {"a": text}


@given(INSTANTS, st.sampled_from(PATTERNS), st.text("0123456789 :AMP", max_size=3))
def test_usual_patterns_read_what_strptime_reads(moment: datetime, pattern: str, more: str) -> None:
    text = moment.strftime(pattern) + more
    read = build_code_reader(pattern)
    if read is None:
        return
    parts = read(text)
    try:
        wanted = datetime.strptime(text, pattern)  # noqa: DTZ007 - compared part by part
    except ValueError:
        assert parts is None
        return
    if (wanted.utcoffset() or timedelta()) % timedelta(minutes=1):
        return  # seconds in an offset, which no API writes
    assert parts is not None
    assert datetime(*parts.ymd, *parts.clock, int((parts.fraction or "0").ljust(6, "0"))) == (  # noqa: DTZ001
        wanted.replace(tzinfo=None)
    )


@given(st.text(alphabet="0123456789-:./ TZ+,aAprMonJd()", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for form in (*FORMS, *PATTERNS):
        try:
            written = build_date_converter(form)(text, "text", text)
        except Inconvertible:
            continue
        assert is_canonical(written) or written is text


@pytest.mark.parametrize(
    ("value", "form", "wanted"),
    [
        ("2026-01-31", "iso", "2026-01-31T00:00:00Z"),
        ("2026-01-31T10:00", "iso", "2026-01-31T10:00:00Z"),
        ("2026-01-31 10:00:01,5+02:00", "iso", "2026-01-31T08:00:01.500Z"),
        ("2026-01-31T10:00:01.123456789-0130", "iso", "2026-01-31T11:30:01.123456789Z"),
        ("2016-12-31T23:59:60Z", "iso", "2017-01-01T00:00:00Z"),
        ("20260131T100001Z", "iso", "2026-01-31T10:00:01Z"),
        ("20260131", "iso", "2026-01-31T00:00:00Z"),
        (1577836800, "epoch", "2020-01-01T00:00:00Z"),
        ("1577836800.25", "epoch", "2020-01-01T00:00:00.250Z"),
        (-1, "epoch", "1969-12-31T23:59:59Z"),
        (-1, "epoch_ms", "1969-12-31T23:59:59.999Z"),
        (1577836800120, "epoch_ms", "2020-01-01T00:00:00.120Z"),
        (1577836800000001, "epoch_us", "2020-01-01T00:00:00.000001Z"),
        (1577836800000000001, "any", "2020-01-01T00:00:00.000000001Z"),
        ("/Date(1577836800000+0200)/", "dotnet", "2020-01-01T00:00:00Z"),
        ("/Date(1577836800123)/", "dotnet", "2020-01-01T00:00:00.123Z"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "http", "1994-11-06T08:49:37Z"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "http", "1994-11-06T08:49:37Z"),
        ("Sun Nov  6 08:49:37 1994", "http", "1994-11-06T08:49:37Z"),
        ("6 Nov 1994 08:49 EST", "http", "1994-11-06T13:49:00Z"),
        ("Wed Aug 27 13:08:45 +0000 2008", "any", "2008-08-27T13:08:45Z"),
        ("Jan 31, 2026 5:07 PM", "any", "2026-01-31T17:07:00Z"),
        ("31st January 2026", "any", "2026-01-31T00:00:00Z"),
        ("2026/01/31 10:00:00", "any", "2026-01-31T10:00:00Z"),
        ("1503435956.000247", "any", "2017-08-22T21:05:56.000247Z"),
        (1577836800123, "any", "2020-01-01T00:00:00.123Z"),
        ("12:00 AM 1/2/26", "%I:%M %p %d/%m/%y", "2026-02-01T00:00:00Z"),
        ("29.02.2024", ["%d/%m/%Y", "%d.%m.%Y"], "2024-02-29T00:00:00Z"),
        ("2026-01-31 10:00", {"form": "iso", "zone": "Europe/Berlin"}, "2026-01-31T09:00:00Z"),
        ("2026-07-31 10:00", {"form": "iso", "zone": "Europe/Berlin"}, "2026-07-31T08:00:00Z"),
        ("2026-01-31T23:30Z", {"form": "iso", "zone": "Europe/Berlin", "write": "date"}, "2026-02-01"),
        ("31.01.2026", {"form": "%d.%m.%Y", "zone": "Asia/Tokyo", "write": "date"}, "2026-01-31"),
        (" 2026-01-31 ", "iso", "2026-01-31T00:00:00Z"),
        (None, "iso", None),
        ("", "iso", ""),
        ("0000-00-00", "any", "0000-00-00"),
    ],
)  # fmt: skip
def test_a_date_by_example(value: Any, form: Any, wanted: str | None) -> None:
    assert reshape({"a": value}, dates={"a": form}) == {"a": wanted}


@pytest.mark.parametrize(
    ("value", "form"),
    [
        *[(text, "iso") for text in ("2026-02-30", "2026-13-01", "31.01.2026", "2026-01-31T25:00", "1577836800")],
        *[(text, "any") for text in ("01/02/2026", "01.02.2026", "20261331", "12", "soon", "2026-01-31 CET", "1e999")],
        *[(value, "epoch") for value in NO_EPOCHS],
        *[(value, "iso") for value in NO_DATES],
        ("31/12/2026", "%m/%d/%Y"),
        ("13:00 PM 1/2/2026", "%I:%M %p %d/%m/%Y"),
        ("367 2026", "%j %Y"),
        ("9999-12-31T23:00:00-05:00", "iso"),
    ],
)  # fmt: skip
def test_what_is_not_a_date_of_the_form_fails(value: Any, form: str) -> None:
    with pytest.raises(InvalidRecord, match="The field 'a' cannot be read as a date"):
        reshape({"a": value}, dates={"a": form})


def test_the_error_shows_the_field_the_form_and_the_beginning_of_the_value() -> None:
    with pytest.raises(InvalidRecord) as failure:
        reshape(
            {"x": {"at": "31.12.2026, at about noon on a Thursday, or later"}},
            dates={"x.at": "iso"},
        )
    assert str(failure.value) == (
        "The field 'x.at' cannot be read as a date (iso): it is the text '31.12.2026, at about noon on a Thursday,'…. "
        "It is not in the form iso. Correct fields.dates, or set fields.on_error to keep or null."
    )


def test_values_are_hidden_in_errors_where_fields_are_hashed_or_named_like_secrets() -> None:
    for name, options in (("born", {"hash": ["born"]}), ("token_date", {})):
        with pytest.raises(InvalidRecord) as failure:
            reshape({name: "31.12.1970"}, dates={name: "iso"}, **options)
        assert "1970" not in str(failure.value)
        assert "a text of 10 characters" in str(failure.value)


def test_unreadable_dates_are_kept_or_made_null_and_counted() -> None:
    record = {"a": "soon", "b": ["x", "2026-01-31"]}
    kept = reshape(record, dates={"a": "iso", "b[]": "iso"}, on_error="keep")
    assert kept == {"a": "soon", "b": ["x", "2026-01-31T00:00:00Z"]}
    nulled = reshape(record, dates={"a": "iso", "b[]": "iso"}, on_error="null")
    assert nulled == {"a": None, "b": [None, "2026-01-31T00:00:00Z"]}


def test_an_exact_path_comes_before_one_with_a_star_and_each_value_is_read_once() -> None:
    record = {"made_at": "/Date(0)/", "read_at": "1970-01-01", "in": {"x_at": 5}}
    dates = {"*_at": "iso", "made_at": "dotnet", "in.*_at": "epoch", "in.x_at": "epoch_ms"}
    assert reshape(record, dates=dates) == {
        "made_at": "1970-01-01T00:00:00Z",
        "read_at": "1970-01-01T00:00:00Z",
        "in": {"x_at": "1970-01-01T00:00:00.005Z"},
    }


def test_a_day_that_no_month_has_is_no_date() -> None:
    with pytest.raises(InvalidRecord, match=r"fields\.dates"):
        reshape({"at": "31/02/2026"}, dates={"at": "%d/%m/%Y"})


def test_a_time_in_rfc_3339_keeps_all_its_digits() -> None:
    at = "2026-01-31T10:00:00.123456789Z"
    assert reshape({"at": at}, dates={"at": "iso"}) == {"at": at}
