"""APIs that leave out records at ``window.start`` (WordPress's ``modified_after``): no record falls between two windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.windows import Incremental, Interval
from tests.engine.test_capped import (
    CAP,
    SIZE,
    START,
    WALK,
    Search,
    _moment,
    clustered,
    narrow,
    pull,
)
from tests.engine.test_resumed_watermarks import ChangingApi, new_bench
from tests.engine.yaml_run import pull_yaml, utc
from tests.support.examples import examples

PLAIN = """
request: {path: /rows, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}
records: items
paginate: {type: offset, size: 5}
incremental: {field: t, start: 2026-01-01, step: PT6H, LOWER}
"""


class LaterRows(Search):
    """Shows only rows after ``since``."""

    def is_between(self, at: str, since: str, until: str) -> bool:
        return super().is_between(at, since, until) and _moment(at) > _moment(since)


@pytest.mark.parametrize(("lower", "missing"), [("exclusive", set()), ("inclusive", {0, 2, 3})])
def test_records_at_the_bounds_of_windows_come_once(
    tmp_path: Path, lower: str, missing: set[int]
) -> None:
    search = LaterRows([0, 21_599, 21_600, 43_200, 43_201])
    interval = Interval(START, utc(2026, 1, 2))
    pulled = pull_yaml(PLAIN.replace("LOWER", f"lower: {lower}"), interval, search, tmp_path)
    assert pulled.ids == sorted({0, 1, 2, 3, 4} - missing)


@examples(0.6)
@given(clustered, st.sampled_from(["none", "exact"]), st.booleans(), st.integers(0, 9))
def test_a_narrowed_window_gives_each_record_once(
    seconds: list[int], total: str, inclusive: bool, seed: int
) -> None:
    if max((seconds.count(at) for at in seconds), default=0) >= CAP:
        return
    search = LaterRows(seconds, total=total, inclusive=inclusive, seed=seed)
    text = narrow(total=total, inclusive=inclusive).replace("upper:", "lower: exclusive, upper:")
    pulled = pull(text, search)
    assert sorted(pulled.ids) == list(range(len(seconds)))
    assert search.refused == 0


@examples(0.6)
@given(clustered)
def test_a_request_from_the_last_record_on_brings_the_others_of_its_second(
    seconds: list[int],
) -> None:
    if max((seconds.count(at) for at in seconds), default=0) >= CAP - SIZE:
        return
    text = WALK.replace("FORMAT", "iso, lower: exclusive")
    assert sorted(pull(text, LaterRows(seconds)).ids) == list(range(len(seconds)))


class LaterChanges(ChangingApi):
    """Returns only rows that changed after ``since``."""

    def is_from(self, value: Any, bound: Any) -> bool:
        return bool(value > bound)


@pytest.mark.parametrize(
    ("lower", "second"),
    [("exclusive", ["ann-2", "ann-3"]), ("inclusive", ["ann-3"])],
)
def test_a_watermark_run_brings_rows_that_came_late_to_the_instant_of_the_watermark(
    lower: Literal["exclusive", "inclusive"], second: list[str]
) -> None:
    options = Incremental(by="watermark", field="at", start="2026-01-01", lower=lower)
    with new_bench("page", "instant", incremental=options) as bench:
        bench.api = LaterChanges("page")
        bench.api.add("ann", 1, 2)
        bench.attempt("first")
        bench.api.add("ann", 2, 3)
        (manifest, contents), _ = bench.attempt("second")
        assert [json.loads(line)["id"] for line in contents[0].splitlines()] == second
        assert manifest["watermark"] == "2026-01-02T00:03:00Z"
