"""Stored watermarks from which no window can begin: set by hand, or left by dates that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.watermarks.state import WatermarkState
from tests.engine.test_positions import IDENTITY, Bench, Contacts, endpoint


@pytest.mark.parametrize(
    ("options", "stored", "message"),
    [
        (
            {"lookback": "P90Y"},
            "0001-01-01T00:00:00Z",
            "incremental.lookback leads out of the calendar: P90Y before 0001-01-01T00:00:00+00:00",
        ),
        (
            {"until": "-P1D"},
            "9999-12-31T23:00:00Z",
            "incremental.until moves back begins there: P1D after 9999-12-31T23:00:00+00:00 is beyond the years 1 to "
            "9999. Correct the watermark: airflow oauth watermark set.",
        ),
        (
            {"field_format": "integer", "format": "epoch"},
            10**17,
            "is 100000000000000000, which is beyond the years 1 to 9999 as epoch: correct incremental.format, or the watermark",
        ),
    ],
)
def test_a_watermark_beyond_the_calendar_is_refused_with_the_way_out(
    options: dict[str, str], stored: str | int, message: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    bench.store.replace(IDENTITY, "", WatermarkState(stored))
    by_watermark = endpoint(Incremental(by="watermark", field="at", start="2026-01-01", **options))  # type: ignore[arg-type]  # names of options
    with pytest.raises(SpecError) as caught:
        bench.run("a", by_watermark, Contacts())
    assert message in str(caught.value)
