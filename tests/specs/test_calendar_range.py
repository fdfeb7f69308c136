"""Date arithmetic that leaves the years 1 to 9999 ends in an error that names the key, the moment and the way out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.budgets.answer_headers import LimitHeaders, find_wait
from oauth_taskflow.connections.readers.rate_limit import read_limits
from oauth_taskflow.errors import SpecError
from oauth_taskflow.http_headers import server_now
from oauth_taskflow.iso8601 import InstantOutOfRange, add_duration, parse_instant
from oauth_taskflow.oauth.endpoint.expiry import standard_expiry
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.instant_formats import format_instant
from oauth_taskflow.specs.windows import Incremental, Interval, cut_windows

FIRST, LAST = (
    moment.replace(tzinfo=timezone.utc)
    for moment in (datetime.min, datetime.max)  # noqa: DTZ901 - the ends
)
DURATIONS = st.sampled_from(["PT1S", "P1D", "P1M", "P1Y", "P99Y", "PT876000H"])
MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(timezone.utc)),
    st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda ahead: FIRST + ahead),
    st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda back: LAST - back),
)


@given(
    start=st.none() | MOMENTS,
    end=MOMENTS,
    open_end=st.booleans(),
    lookback=st.none() | DURATIONS,
    step=st.none() | DURATIONS,
    until=st.none() | DURATIONS.map("-{}".format) | st.just("9999-12-31"),
    begins=st.none() | DURATIONS.map("-{}".format) | st.just("0001-01-01"),
    style=st.sampled_from(["iso", "date", "epoch_ms", "%Y-%m"]),
)
def test_any_interval_gives_windows_that_join_or_a_clear_error(
    start: datetime | None,
    end: datetime,
    *,
    open_end: bool,
    begins: str | None,
    style: str,
    **more: Any,
) -> None:
    options = Incremental(start=begins, format=style, **more)
    try:
        windows = list(islice(cut_windows(options, Interval(start, end, open_end=open_end)), 50))
    except SpecError as error:
        text = str(error)
        assert "calendar" in text or "no later instant" in text or "no data interval" in text
        return
    assert all(a.until == b.since for a, b in pairwise(windows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"lookback": "P90Y"},
            "incremental.lookback leads out of the calendar: P90Y before 0002-01-01T00:00:00+00:00 is beyond the years 1 "
            "to 9999. Write a shorter incremental.lookback, or correct where the run begins and ends.",
        ),
        ({"until": "-P90Y"}, "incremental.until leads out of the calendar"),
        ({"start": "-P90Y"}, "incremental.start leads out of the calendar"),
    ],
)
def test_a_bound_before_the_year_1_names_its_key(options: dict[str, Any], message: str) -> None:
    begin = datetime(2, 1, 1, tzinfo=timezone.utc)
    with pytest.raises(SpecError) as caught:
        list(cut_windows(Incremental(**options), Interval(begin, begin + timedelta(days=1))))
    assert message in str(caught.value)


def test_a_step_behind_the_last_day_ends_with_the_interval() -> None:
    begin = datetime(9998, 12, 1, tzinfo=timezone.utc)
    windows = list(cut_windows(Incremental(step="P99Y"), Interval(begin, LAST)))
    assert [(window.since, window.until) for window in windows] == [(begin, LAST)]


def test_an_end_that_no_later_instant_follows_is_refused() -> None:
    options = Incremental(format="date", start="9999-01-01")
    with pytest.raises(SpecError, match="format 'date' can write no later instant"):
        list(cut_windows(options, Interval(None, LAST, open_end=True)))


@pytest.mark.parametrize("text", ["P1Y", "P999999999999Y", "P999999999999D", "PT999999999999S"])
def test_what_is_beyond_the_year_9999_is_said_with_both_parts(text: str) -> None:
    with pytest.raises(InstantOutOfRange, match=f"3 times {text} after 9999-12-31T"):
        add_duration(LAST, text, 3)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00"])
def test_an_instant_that_utc_cannot_show_is_no_date(text: str) -> None:
    assert parse_instant(text) is None
    spec = SPEC.format(schedule='"@daily"', until=f"'{text}'")
    problems = [(p.rule, p.message) for p in check_text(spec, "x.yaml").problems]
    assert problems == [("bad-date", f"'{text}' is not a date")]


@pytest.mark.parametrize("schedule", ["P3000Y", "P999999999999Y", "PT999999999999S"])
def test_a_schedule_of_ages_is_a_problem_of_the_spec(schedule: str) -> None:
    spec = SPEC.format(schedule=schedule, until="2030-01-01")
    assert "bad-duration" in {p.rule for p in check_text(spec, "x.yaml").problems}


def test_the_year_1_is_written_with_all_its_digits() -> None:
    assert format_instant(FIRST, "date") == "0001-01-01"


def test_a_date_header_of_the_year_9999_is_no_clock() -> None:
    assert server_now({"date": "Fri, 31 Dec 9999 23:59:59 GMT"}, 1.8e9) == 1.8e9


def test_a_remaining_count_of_thousands_of_digits_says_nothing() -> None:
    headers = {"RateLimit": f'"a";r={"9" * 9000};t={"9" * 9000}'}
    assert find_wait(headers, LimitHeaders(), 1.8e9) is None


def test_an_expiry_of_the_far_future_names_no_lifetime() -> None:
    body = {"expires_at": 10**17}
    assert standard_expiry(body, "t", sent_at=1.8e9, skew=0.0, default=60.0) == 1.8e9 + 60


def test_a_period_of_ages_in_a_connection_is_refused() -> None:
    with pytest.raises(ValueError, match="has a period longer than a hundred years"):
        read_limits({"requests": 5, "per": "P999999999999Y"})


SPEC = """\
version: 1
dag_id: ages
connection: crm
schedule: {schedule}
start_date: 2026-01-01
endpoints:
  a:
    request: {{path: /a, params: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}}}
    incremental: {{field: t, start: 2024-01-01, until: {until}, format: date}}
    destination: {{path: "/data/{{{{ dag_id }}}}/{{{{ endpoint }}}}"}}
"""
