"""Incremental endpoints whose records write times as Slack, Xero and others do, or show none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.specs.windows import Interval
from tests.engine.yaml_run import pull_yaml, utc

DAY = Interval(utc(2026, 1, 1), utc(2026, 1, 2))
ENDPOINT = """
request: {{path: /items, params: {{since: "{{{{ window.start }}}}"}}}}
records: data
incremental: {{{0}}}
"""


@pytest.mark.parametrize(
    ("options", "values", "highest"),
    [
        ("field: t", ["1355517523.000004", "1355517523.000005"], "1355517523.000005"),
        ("field: t", ["/Date(1355517523007+0000)/", "/Date(1)/"], "/Date(1355517523007+0000)/"),
        ('field: t, field_format: "%d/%m/%Y"', ["01/02/2024", "02/01/2024"], "01/02/2024"),
        ("field: t, field_format: integer", ["9", "10"], "10"),
        ("field: t, field_format: [epoch, iso]", [1355517523, "2024-01-01"], "2024-01-01"),
        ("start: 2024-01-01", ["soon", None], None),
    ],
)
def test_a_run_has_the_watermark_of_any_form_and_none_without_a_field(
    tmp_path: Path, options: str, values: list[Any], highest: Any
) -> None:
    rows = {"data": [{"id": n, "t": value} for n, value in enumerate(values)]}
    pulled = pull_yaml(ENDPOINT.format(options), DAY, lambda _: rows, tmp_path)
    assert pulled.ids == [0, 1]
    assert pulled.summary.watermark == highest
    assert pulled.manifest["watermark"] == highest


def test_the_watermarks_of_mapped_tasks_are_compared_in_their_form() -> None:
    summaries = [
        EndpointSummary("a", 1, 1, 1, 1, 1, 0.1, [], "m", watermark=value)
        for value in ("02/01/2024", "01/02/2024")
    ]
    assert add_up("a", summaries, form="%d/%m/%Y").watermark == "01/02/2024"
