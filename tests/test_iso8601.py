from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.iso8601 import add_duration, duration_length, instant_text, parse_instant

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T06:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31 06:00:01Z", datetime(2026, 1, 31, 6, 0, 1, tzinfo=UTC)),
        ("2026-01-31T06:00:00.250+02:00", datetime(2026, 1, 31, 4, 0, 0, 250000, tzinfo=UTC)),
        ("2026-02-30", None),
        ("2026-01-01T25:00", None),
        ("2026-1-1", None),
        ("2026-01-01T06", None),
        ("20260101", None),
        ("", None),
    ],
)
def test_only_forms_that_every_python_reads_are_dates(text: str, expected: datetime | None) -> None:
    assert parse_instant(text) == expected


def test_a_bare_date_begins_in_the_zone_given() -> None:
    zone = timezone(timedelta(hours=2))
    assert parse_instant("2026-01-01", zone) == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert parse_instant("2026-01-01T00:00Z", zone) == datetime(2026, 1, 1, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_that_python_writes_are_read_back_equal(moment: datetime) -> None:
    assert parse_instant(moment.isoformat()) == moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT0S", 0.0),
        ("PT1.5S", 1.5),
        ("P1DT2H3M4S", 93784.0),
        ("P1W", 604800.0),
        ("P1M", 2592000.0),
        ("P1Y", 31536000.0),
        ("P", None),
        ("PT", None),
        ("5m", None),
        ("P1H", None),
        ("-P1D", None),
    ],
)
def test_a_duration_has_a_length(text: str, seconds: float | None) -> None:
    assert duration_length(text) == seconds


def test_months_are_stepped_from_the_moment_itself() -> None:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    found = [add_duration(start, "P1M", times).strftime("%m-%d") for times in (1, 2, 13, -2)]
    assert found == ["02-28", "03-31", "02-28", "11-30"]


def test_a_step_of_both_kinds_adds_both() -> None:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    assert add_duration(start, "P1MT1H") == datetime(2026, 2, 28, 1, tzinfo=UTC)


def test_stepping_by_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration such as P1M"):
        add_duration(datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01")


def test_an_instant_is_written_in_utc_and_whole_seconds() -> None:
    assert instant_text(0) == "1970-01-01T00:00:00Z"
    assert instant_text(1_800_000_000.9) == "2027-01-15T08:00:00Z"
