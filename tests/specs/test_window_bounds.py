"""Windows that are moved, cut or rolling: whatever the options, a schedule's windows join exactly."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_taskflow.dates import read_instant
from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import duration_seconds, parse_instant
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.instant_formats import format_instant, round_down
from oauth_taskflow.specs.windows import (
    Incremental,
    Interval,
    Window,
    cut_windows,
    duration_back,
    find_start,
    is_first_run,
    move_interval,
)

UTC = timezone.utc
MICROSECOND = timedelta(microseconds=1)


def instant(text: str) -> datetime:
    moment = parse_instant(text)
    assert moment is not None
    return moment


def interval(start: str | None, end: str, *, open_end: bool = False) -> Interval:
    return Interval(instant(start) if start else None, instant(end), open_end)


def spans(options: Incremental, of: Interval) -> list[tuple[str, str]]:
    return [(w.since.isoformat(), w.until.isoformat()) for w in cut_windows(options, of)]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("-PT10M", "PT10M"),
        ("-P90D", "P90D"),
        ("P90D", None),
        ("-", None),
        ("-90d", None),
        ("--P1D", None),
        ("2026-01-01", None),
        (None, None),
    ],
)
def test_a_duration_back_begins_with_a_minus(text: str | None, back: str | None) -> None:
    assert duration_back(text) == back


def test_until_moves_both_ends_of_an_interval() -> None:
    options = Incremental(until="-PT10M", start="2025-01-01")
    assert spans(options, interval("2026-01-01T06:00Z", "2026-01-01T07:00Z")) == [
        ("2026-01-01T05:50:00+00:00", "2026-01-01T06:50:00+00:00")
    ]


def test_until_is_not_moved_before_start() -> None:
    options = Incremental(until="-PT10M", start="2026-01-01T06:00Z")
    assert spans(options, interval("2026-01-01T06:00Z", "2026-01-01T07:00Z")) == [
        ("2026-01-01T06:00:00+00:00", "2026-01-01T06:50:00+00:00")
    ]


def test_a_date_as_until_cuts_the_last_interval_and_empties_later_ones() -> None:
    options = Incremental(until="2026-01-01T06:30Z")
    assert spans(options, interval("2026-01-01T05:00Z", "2026-01-01T06:00Z")) == [
        ("2026-01-01T05:00:00+00:00", "2026-01-01T06:00:00+00:00")
    ]
    assert spans(options, interval("2026-01-01T06:00Z", "2026-01-01T07:00Z")) == [
        ("2026-01-01T06:00:00+00:00", "2026-01-01T06:30:00+00:00")
    ]
    assert spans(options, interval("2026-01-01T07:00Z", "2026-01-01T08:00Z")) == []


def test_an_open_end_that_until_moves_is_rounded_down() -> None:
    options = Incremental(until="-PT10M", start="2026-01-01", format="date")
    open_ended = interval(None, "2026-01-03T12:00Z", open_end=True)
    assert move_interval(options, open_ended) == interval(None, "2026-01-03")
    cut = Incremental(until="2026-01-02", start="2026-01-01", format="date")
    assert move_interval(cut, open_ended) == interval(None, "2026-01-02")
    far = Incremental(until="2027-01-01", start="2026-01-01", format="date")
    assert move_interval(far, open_ended) == open_ended


def test_a_rolling_start_is_counted_from_the_end_of_the_interval() -> None:
    options = Incremental(start="-P90D")
    run = interval(None, "2026-04-01T06:00:00.123456Z")
    assert spans(options, run) == [
        ("2026-01-01T06:00:00+00:00", "2026-04-01T06:00:00.123456+00:00")
    ]
    assert spans(options, run) == spans(options, run)
    assert find_start(Incremental(start="-P90D", format="date"), run) == instant("2026-01-01")
    # An interval that begins later begins where it does.
    assert spans(options, interval("2026-03-31", "2026-04-01")) == [
        ("2026-03-31T00:00:00+00:00", "2026-04-01T00:00:00+00:00")
    ]
    assert spans(Incremental(start="-P1D"), interval("2026-03-25", "2026-04-01")) == [
        ("2026-03-31T00:00:00+00:00", "2026-04-01T00:00:00+00:00")
    ]


@pytest.mark.parametrize(
    ("options", "start", "first"),
    [
        ({"start": "2026-01-01"}, None, True),
        ({}, None, True),
        ({"start": "2026-01-01"}, "2026-01-01", True),
        ({"start": "2026-01-01"}, "2025-12-31", True),
        ({"start": "2026-01-01"}, "2026-01-02", False),
        ({"start": "2026-01-01", "lookback": "P7D"}, "2026-01-02", False),
        ({"start": "2026-01-01", "until": "-P1D"}, "2026-01-02", False),
        ({"start": "-P90D"}, None, True),
        ({"start": "-P90D"}, "2026-01-02", False),
        ({}, "2026-01-02", False),
    ],
)
def test_the_first_run_is_the_one_that_reads_from_start(
    options: dict[str, Any], start: str | None, *, first: bool
) -> None:
    assert is_first_run(Incremental(**options), interval(start, "2026-01-03")) is first


moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=40))


@pytest.mark.parametrize(
    ("moment", "moved"),
    [
        ("2026-03-28T18:00Z", "2026-02-28T18:00Z"),
        ("2026-03-29T06:00Z", "2026-03-01T00:00Z"),
        ("2026-03-31T18:00Z", "2026-03-01T00:00Z"),
        ("2026-04-01T00:00Z", "2026-03-01T00:00Z"),
        ("2028-03-29T06:00Z", "2028-02-29T06:00Z"),
        ("9999-12-31T06:00Z", "9999-12-01T06:00Z"),
    ],
)
def test_days_that_the_earlier_month_does_not_have_move_to_its_end(moment: str, moved: str) -> None:
    """As the last day, each with its own time, they would ask for the same hours again and again."""
    options = Incremental(until="-P1M")
    assert move_interval(options, interval(None, moment)).end == instant(moved)


def join_intervals(begin: datetime, lengths: list[timedelta]) -> list[Interval]:
    """Intervals of ``lengths`` that follow each other."""
    edges = [begin + sum(lengths[:n], timedelta()) for n in range(len(lengths) + 1)]
    return [Interval(a, b) for a, b in itertools.pairwise(edges)]


def cut_schedule(options: Incremental, intervals: list[Interval]) -> list[Window]:
    return [window for each in intervals for window in cut_windows(options, each)]


@given(
    begin=moments,
    lengths=st.lists(lengths, min_size=2, max_size=6),
    until=st.sampled_from([None, "-PT10M", "-P1D", "-P1M", "-P1Y2M3DT4H5M6.5S", "2030-01-01"]),
    step=st.sampled_from([None, "PT7H", "P1D", "P1M"]),
)
@example(
    begin=datetime(2026, 3, 28, 22, tzinfo=UTC),
    lengths=[timedelta(hours=9)] * 12,
    until="-P1M",
    step=None,
)
def test_moved_windows_of_consecutive_intervals_join_exactly(
    begin: datetime, lengths: list[timedelta], until: str | None, step: str | None
) -> None:
    options = Incremental(until=until, step=step)
    intervals = join_intervals(begin, lengths)
    found = cut_schedule(options, intervals)
    assert all(a.until == b.since for a, b in itertools.pairwise(found))
    assert all(window.since < window.until for window in found)
    moved = [move_interval(options, each) for each in intervals]
    spanned = [each for each in moved if each.start is not None and each.start < each.end]
    assert bool(found) is bool(spanned)
    assert [w.since for w in found[:1]] == [each.start for each in spanned[:1]]
    assert [w.until for w in found[-1:]] == [each.end for each in spanned[-1:]]


def find_tick(options: Incremental, intervals: list[Interval], part: float) -> datetime | None:
    """A time within ``intervals`` that an API of this unit can have, as ``format`` writes them; None where there is none."""
    begin, end = intervals[0].start, intervals[-1].end
    assert begin is not None
    epoch, tick = instant("1970-01-01"), timedelta(seconds=duration_seconds(options.unit))
    first = -(-(round_down(begin, options.format) - epoch) // tick)
    last = -(-(round_down(end, options.format) - epoch) // tick) - 1
    return epoch + (first + round((last - first) * part)) * tick if last >= first else None


UNITS = {"PT0.001S": "epoch_ms", "PT1S": "epoch", "PT1M": "%Y-%m-%dT%H:%MZ", "P1D": "date"}


def holds(
    window: Window, moment: datetime, style: str, upper: str, below: str = "inclusive"
) -> bool:
    """Whether an API returns a record of ``moment`` for the bounds it gets."""
    forms = {"%Y-%m-%dT%H:%MZ": "iso"}
    form = forms.get(style, style)
    lower, end = (read_instant(bound, form).moment for bound in (window.start, window.end))
    begins = lower < moment if below == "exclusive" else lower <= moment
    return begins and (moment <= end if upper == "inclusive" else moment < end)


@given(
    begin=moments,
    lengths=st.lists(lengths, min_size=1, max_size=4),
    record=st.floats(0, 1),
    unit=st.sampled_from(sorted(UNITS)),
    coarse=st.booleans(),
    step=st.sampled_from([None, "PT7H", "P1D", "P1M"]),
)
def test_a_record_at_any_tick_is_in_exactly_one_inclusive_window(
    begin: datetime,
    lengths: list[timedelta],
    record: float,
    unit: str,
    *,
    coarse: bool,
    step: str | None,
) -> None:
    style = UNITS[unit] if coarse else "iso"
    options = Incremental(upper="inclusive", unit=unit, format=style, step=step)
    intervals = join_intervals(begin, lengths)
    windows = cut_schedule(options, intervals)
    moment = find_tick(options, intervals, record)
    tick = timedelta(seconds=duration_seconds(unit))
    is_wide = all(w.start != w.end or w.until - w.since >= tick for w in windows)
    if moment is not None and is_wide:
        assert sum(holds(w, moment, style, "inclusive") for w in windows) == 1


@given(
    begin=moments,
    lengths=st.lists(lengths, min_size=1, max_size=4),
    record=st.floats(0, 1),
    unit=st.sampled_from(sorted(UNITS)),
    coarse=st.booleans(),
    step=st.sampled_from([None, "PT7H", "P1D", "P1M"]),
    upper=st.sampled_from(["inclusive", "exclusive"]),
)
def test_a_record_at_any_tick_is_in_exactly_one_window_with_an_exclusive_beginning(
    begin: datetime,
    lengths: list[timedelta],
    record: float,
    unit: str,
    *,
    coarse: bool,
    step: str | None,
    upper: Literal["inclusive", "exclusive"],
) -> None:
    style = UNITS[unit] if coarse else "iso"
    options = Incremental(lower="exclusive", upper=upper, unit=unit, format=style, step=step)
    intervals = join_intervals(begin, lengths)
    windows = cut_schedule(options, intervals)
    moment = find_tick(options, intervals, record)
    if moment is not None:
        assert sum(holds(w, moment, style, upper, "exclusive") for w in windows) == 1


@given(begin=moments, lengths=st.lists(lengths, min_size=1, max_size=4), record=st.floats(0, 1))
def test_a_record_at_any_microsecond_is_in_exactly_one_exclusive_window(
    begin: datetime, lengths: list[timedelta], record: float
) -> None:
    intervals = join_intervals(begin, lengths)
    windows = cut_schedule(Incremental(step="P1D"), intervals)
    span = intervals[-1].end - begin
    moment = begin + round((span - MICROSECOND) / MICROSECOND * record) * MICROSECOND
    assert sum(holds(w, moment, "iso", "exclusive") for w in windows) == 1


def test_an_exclusive_beginning_is_one_unit_earlier_and_moves_no_record_between_windows() -> None:
    options = Incremental(lower="exclusive", step="P1D")
    windows = list(cut_windows(options, interval("2026-01-01", "2026-01-03")))
    assert [(w.start, w.end) for w in windows] == [
        ("2025-12-31T23:59:59Z", "2026-01-02T00:00:00Z"),
        ("2026-01-01T23:59:59Z", "2026-01-03T00:00:00Z"),
    ]
    assert [w.since for w in windows] == [instant("2026-01-01"), instant("2026-01-02")]


@pytest.mark.parametrize(
    ("keys", "start", "end"),
    [
        ({"lower": "exclusive"}, "0001-01-01", "0001-01-02"),
        ({"lower": "exclusive", "unit": "P7D"}, "0001-01-02", "0001-01-09"),
        ({"upper": "inclusive", "unit": "P4000Y"}, "2026-01-01", "2026-01-02"),
    ],
)
def test_a_bound_before_the_calendar_names_the_unit(
    keys: dict[str, Any], start: str, end: str
) -> None:
    with pytest.raises(SpecError, match=r"incremental\.unit leads out of the calendar.*the year 1"):
        list(cut_windows(Incremental(**keys), interval(start, end)))


def test_a_unit_that_does_not_divide_a_day_is_subtracted() -> None:
    options = Incremental(upper="inclusive", unit="P7D", format="date")
    (window,) = cut_windows(options, interval("2026-01-01", "2026-01-15"))
    assert (window.start, window.end) == ("2026-01-01", "2026-01-08")


def test_an_end_between_two_ticks_includes_the_last_tick_before_it() -> None:
    options = Incremental(upper="inclusive", unit="PT1S")
    (window,) = cut_windows(options, interval("2026-01-01", "2026-01-01T12:00:00.500Z"))
    assert window.end == "2026-01-01T12:00:00Z"


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    style=st.sampled_from(["iso", "date", "epoch", "epoch_ms", "epoch_us", "http"]),
)
def test_what_is_written_is_read_back_as_the_last_instant_that_the_format_shows(
    moment: datetime, style: Literal["iso"]
) -> None:
    assert read_instant(format_instant(moment, style), style).moment == round_down(moment, style)


def test_http_dates_are_english_whatever_the_language_of_the_machine() -> None:
    assert (
        format_instant(instant("2026-03-05T01:02:03Z"), "http") == "Thu, 05 Mar 2026 01:02:03 GMT"
    )


@pytest.mark.parametrize("step", ["P7D", "P1M"])
def test_a_start_at_the_end_of_time_is_a_problem_and_no_failure_of_the_check(step: str) -> None:
    text = f"""
version: 1
dag_id: test
connection: crm
endpoints:
  a:
    request: {{path: /a, params: {{since: "{{{{ window.start }}}}", until: "{{{{ window.end }}}}"}}}}
    incremental: {{start: 9999-12-31, step: {step}, upper: inclusive, without_interval: start}}
    destination: {{path: /data}}
"""
    assert [problem.rule for problem in check_text(text).problems] == [
        "inclusive-unit",
        "start-far-ahead",
    ]
