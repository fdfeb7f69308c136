from __future__ import annotations

import itertools
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.specs.instant_formats import (
    find_precision,
    format_instant,
    round_up,
    varies_with_date,
)
from oauth_taskflow.specs.windows import Incremental, Interval, cut_windows, is_empty_window


def instant(text: str) -> datetime:
    moment = parse_instant(text)
    assert moment is not None
    return moment


def bounds(options: Incremental, start: str | None, end: str) -> list[tuple[str | int, str | int]]:
    interval = Interval(instant(start) if start else None, instant(end))
    return [(window.start, window.end) for window in cut_windows(options, interval)]


def test_without_step_the_interval_is_one_window() -> None:
    found = bounds(Incremental(field="t"), "2026-01-01", "2026-01-02")
    assert found == [("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")]


def test_steps_cover_the_interval_without_gap_or_overlap() -> None:
    found = bounds(Incremental(step="P1D", format="date"), "2026-01-01", "2026-01-03T12:00:00Z")
    assert found == [
        ("2026-01-01", "2026-01-02"),
        ("2026-01-02", "2026-01-03"),
        ("2026-01-03", "2026-01-03"),
    ]


def test_month_steps_keep_the_day_of_the_anchor() -> None:
    found = bounds(Incremental(step="P1M", format="date"), "2026-01-31", "2026-04-30")
    assert [start for start, _ in found] == ["2026-01-31", "2026-02-28", "2026-03-31"]


def test_an_inclusive_upper_bound_ends_one_unit_earlier() -> None:
    options = Incremental(step="P1D", upper="inclusive", unit="PT1S", format="epoch")
    found = bounds(options, "2026-01-01", "2026-01-03")
    assert found == [(1767225600, 1767311999), (1767312000, 1767398399)]


def test_lookback_moves_the_first_lower_bound_only() -> None:
    options = Incremental(step="P1D", lookback="PT1H", start="2020-01-01")
    found = bounds(options, "2026-01-02", "2026-01-03")
    assert found[0][0] == "2026-01-01T23:00:00Z"
    assert found[-1][1] == "2026-01-03T00:00:00Z"


def test_windows_never_begin_before_start() -> None:
    options = Incremental(start="2026-01-02", lookback="P30D", format="date")
    assert bounds(options, "2026-01-01", "2026-01-03") == [("2026-01-02", "2026-01-03")]
    assert bounds(options, "2025-01-01", "2025-01-02") == []


def test_a_run_without_interval_reads_from_start() -> None:
    assert bounds(Incremental(start="2026-01-01", format="date"), None, "2026-02-01") == [
        ("2026-01-01", "2026-02-01")
    ]


def test_a_run_without_interval_and_start_is_refused() -> None:
    with pytest.raises(SpecError, match=r"no data interval and incremental\.start is not set"):
        bounds(Incremental(field="t"), None, "2026-02-01")


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("iso", "2026-03-01T12:30:00Z"),
        ("date", "2026-03-01"),
        ("epoch", 1772368200),
        ("epoch_ms", 1772368200000),
        ("%d/%m/%Y %H:%M", "01/03/2026 12:30"),
    ],
)
def test_instants_are_written_in_utc_as_the_api_wants_them(style: str, shown: str | int) -> None:
    berlin = timezone(timedelta(hours=1))
    assert format_instant(datetime(2026, 3, 1, 13, 30, tzinfo=berlin), style) == shown


@given(
    hours=st.integers(min_value=1, max_value=5000),
    step=st.sampled_from(["PT1H", "PT7H", "P1D", "P1W", "P1M"]),
)
def test_windows_tile_any_interval_exactly(hours: int, step: str) -> None:
    start = instant("2026-01-31")
    end = start + timedelta(hours=hours)
    found = list(cut_windows(Incremental(step=step), Interval(start, end)))
    assert found[0].since == start
    assert found[-1].until == end
    assert all(a.until == b.since for a, b in itertools.pairwise(found))
    assert all(window.since < window.until for window in found)


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("iso", "PT0.000001S"),
        ("epoch_ms", "PT0.001S"),
        ("epoch", "PT1S"),
        ("%Y-%m-%dT%H:%M:%SZ", "PT1S"),
        ("%Y-%m-%d %H:%M", "PT1M"),
        ("%d.%m.%Y %H Uhr", "PT1H"),
        ("%Y%m%d%I%p", "PT1H"),
        ("date", "P1D"),
        ("%Y-W%W-%w", "P1D"),
        ("%Y-%m", "P1M"),
        ("%Y", "P1Y"),
        ("epochms", None),
    ],
)
def test_the_precision_of_a_format_is_the_shortest_span_that_it_shows(
    style: str, shown: str | None
) -> None:
    assert find_precision(style) == shown


def test_only_formats_with_a_date_change_from_day_to_day() -> None:
    assert [varies_with_date(style) for style in ("iso", "date", "%m-%d %H", "%H:%M:%S")] == [
        *(True, True, False, False)
    ]


@pytest.mark.parametrize(
    ("moment", "style", "rounded"),
    [
        ("2026-01-31T12:00:00Z", "date", "2026-02-01"),
        ("2026-01-31", "date", "2026-01-31"),
        ("2026-01-31T23:59:59.500Z", "epoch", "2026-02-01"),
        ("2026-01-31T12:00:00.000500Z", "epoch_ms", "2026-01-31T12:00:00.001Z"),
        ("2026-01-31T12:30:01Z", "%Y-%m-%dT%H", "2026-01-31T13:00"),
        ("2026-12-02", "%Y-%m", "2027-01-01"),
        ("2026-01-31T12:00:00.000500Z", "iso", "2026-01-31T12:00:00.000500Z"),
    ],
)
def test_an_instant_is_rounded_up_to_one_that_the_format_can_write(
    moment: str, style: str, rounded: str
) -> None:
    assert round_up(instant(moment), style) == instant(rounded)


def test_an_open_end_is_rounded_up_so_that_the_last_day_is_asked_for() -> None:
    options = Incremental(start="2026-01-01", step="P1D", format="date")
    interval = Interval(None, instant("2026-01-02T12:00:00Z"), open_end=True)
    found = list(cut_windows(options, interval))
    assert [(one.start, one.end) for one in found] == [
        ("2026-01-01", "2026-01-02"),
        ("2026-01-02", "2026-01-03"),
    ]
    assert not any(is_empty_window(options, one) for one in found)


def test_equal_bounds_are_empty_unless_the_upper_one_is_inclusive() -> None:
    interval = Interval(instant("2026-01-01"), instant("2026-01-01T01:00:00Z"))
    for upper, empty in (("exclusive", True), ("inclusive", False)):
        options = Incremental(format="date", upper=upper, unit="P1D")  # type: ignore[arg-type]  # a literal
        (window,) = cut_windows(options, interval)
        assert window.start == window.end == "2026-01-01"
        assert is_empty_window(options, window) is empty


def test_seconds_by_a_pattern_do_not_depend_on_the_zone_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = instant("2026-03-29T00:00:00Z")
    expected = str(format_instant(moment, "epoch"))
    for zone in ("America/New_York", "Europe/Berlin", "UTC"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert format_instant(moment, "%s") == expected
        assert format_instant(moment, "at %s, %%s %Y") == f"at {expected}, %s 2026"
    monkeypatch.undo()
    time.tzset()
    assert find_precision("%s") == "PT1S"


def test_a_pattern_that_strftime_refuses_shows_no_time() -> None:
    # Any that it does not know on Windows, and half a character everywhere.
    assert find_precision("%Y\ud800") is None
