from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.instants import duration_length, parse_instant

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
def test_what_python_writes_comes_back_equal(moment: datetime) -> None:
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
