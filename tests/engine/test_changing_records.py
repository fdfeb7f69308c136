"""Records that change while a run by stored watermark reads: the next run goes on behind them."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator
from oauth_taskflow.specs.request import Request
from oauth_taskflow.specs.windows import Incremental
from tests.engine.test_positions import Bench, bench, endpoint

__all__ = ["bench"]


@pytest.mark.parametrize("options", [{"field": "n", "field_format": "integer"}, {"cursor": "mark"}])
def test_a_record_that_changes_while_a_run_reads_is_kept_in_both_versions(
    bench: Bench, options: dict[str, Any]
) -> None:
    first = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]
    changed = {"id": 1, "n": 3, "late": True}
    pages = [
        {"data": first, "next": "b", "mark": "m1"},
        {"data": [first[1], changed], "mark": "m2"},
    ]
    request = Request(path="/contacts", params={"since": "{{ watermark.value | default(0) }}"})
    if "cursor" in options:
        request = Request(path="/contacts", params={"m": "{{ watermark.cursor | default(omit) }}"})
    incremental = Incremental(by="watermark", start="2026-01-01", **options)
    paginate = CursorPaginator(next="next", param="page")
    wanted = endpoint(incremental, request=request, primary_key="id", paginate=paginate)
    rows, summary = bench.run("r1", wanted, lambda asked: pages["page" in asked.query])
    assert rows == [*first, changed]
    assert summary.rows == 3
