"""APIs that do not keep to the windows that they are asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.window_watch import WindowWatch, build_window_watch
from oauth_taskflow.specs.windows import Incremental, Interval
from tests.api.scripted import Asked
from tests.engine.yaml_run import Pulled, pull_yaml, read_endpoint, utc

BOTH = 'since: "{{ window.start }}", until: "{{ window.end }}"'
DAY = Interval(utc(2026, 1, 2), utc(2026, 1, 3))
ENDPOINT = (
    "request: {{path: /items, params: {{{params}}}}}\nrecords: data\nincremental: {{{options}}}"
)


def pull(
    folder: Path, times: list[Any], params: str = BOTH, options: str = "", span: Interval = DAY
) -> Pulled:
    def route(_: Asked) -> Any:
        return {"data": [{"id": number, "at": time} for number, time in enumerate(times)]}

    text = ENDPOINT.format(params=params, options=f"field: at{options}")
    return pull_yaml(text, span, route, folder)


def hours(first: datetime, count: int) -> list[str]:
    return [(first + timedelta(hours=number)).isoformat() for number in range(count)]


def test_an_api_that_ignores_the_lower_bound_is_a_warning(tmp_path: Path) -> None:
    pulled = pull(tmp_path, hours(utc(2026, 1, 1, 8), 20))
    assert pulled.summary.warnings == [
        "Of 20 records that were looked at, 16 are before the window that was asked for, by their at. The API seems to ignore "
        "window.start and window.end, or to compare another time, or texts of another form: records may be missing, or come in each run. "
        "Check the parameters of the request, incremental.field and incremental.format."
    ]
    assert len(pulled.ids) == 20  # nothing is left out


def test_a_window_without_any_of_its_records_is_a_warning(tmp_path: Path) -> None:
    """PocketBase compares ``2026-01-03 00:10:00Z``, as it keeps times, with ``2026-01-03T00:00:00Z``, as texts."""
    (warning,) = pull(tmp_path / "a", hours(utc(2026, 1, 3, 1), 10)).summary.warnings
    assert "10 are behind the window" in warning
    (warning,) = pull(
        tmp_path / "b", hours(utc(2026, 1, 1), 4) + hours(utc(2026, 1, 4), 6)
    ).summary.warnings
    assert "4 are before and 6 are behind the window" in warning


@pytest.mark.parametrize(
    ("times", "params", "options"),
    [
        (hours(utc(2026, 1, 1), 9), BOTH, ""),  # too few
        (hours(utc(2026, 1, 1, 14), 20), BOTH, ""),  # half of them
        (hours(utc(2026, 1, 2, 23), 20), BOTH, ""),  # later changes
        (hours(utc(2026, 1, 9), 20), 'since: "{{ window.start }}"', ""),  # no upper bound is sent
        (hours(utc(2026, 1, 1), 20), 'until: "{{ window.end }}"', ""),
        ([None] * 20, BOTH, ", missing: include"),
    ],
    ids=["few", "half", "later", "open end", "open beginning", "no time"],
)
def test_records_that_may_be_outside_by_right_are_no_warning(
    tmp_path: Path, times: list[Any], params: str, options: str
) -> None:
    assert pull(tmp_path, times, params, options).summary.warnings == []


@pytest.mark.parametrize(
    ("time", "options"),
    [
        ("2026-01-02", ""),  # the record shows the day alone
        ("2026-01-02T00:10:00Z", ", format: date"),  # and so does the bound
        ("2026-01-02T06:30:00Z", ""),  # the record shows minutes
    ],
)
def test_times_are_compared_as_coarsely_as_they_are_written(
    tmp_path: Path, time: str, options: str
) -> None:
    span = Interval(utc(2026, 1, 2, 6, 30, 20), utc(2026, 1, 3))
    params = 'since: "{{ window.start }}"'
    assert pull(tmp_path, [time] * 12, params, options, span).summary.warnings == []


@pytest.mark.parametrize(
    ("params", "options", "has_positions"),
    [
        (BOTH, "start: 2026-01-01", False),  # no time of the records is known
        ("a: b", "field: at, keep: window", False),
        (
            'since: "{{ window.start }}", cursor: "{{ watermark.cursor | default(omit) }}"',
            "field: at, by: watermark, start: 2026-01-01, cursor: next",
            True,
        ),
        (
            'since: "{{ window.start }}"',
            "field: at, by: watermark, start: 2026-01-01, first_run: {request: {params: {since: null}}}",
            True,
        ),
    ],
    ids=["no field", "keep", "cursor", "first run by watermark"],
)
def test_requests_without_a_known_window_are_not_watched(
    params: str, options: str, has_positions: bool
) -> None:
    endpoint = read_endpoint(ENDPOINT.format(params=params, options=options))
    assert build_window_watch(endpoint, has_positions=has_positions) is None


def test_the_counts_outlive_an_attempt() -> None:
    first, second = (WindowWatch(Incremental(field="at"), has_end=True) for _ in range(2))
    first.restore([12, 7, 1], None)  # type: ignore[arg-type]  # the counts are all that is kept
    second.restore(first.save(), None)  # type: ignore[arg-type]  # as above
    assert second.save() == [12, 7, 1]
