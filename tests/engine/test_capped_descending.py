"""``cap: {then: from_last_record, order: descending}``: newest first, past the cap, complete and each record once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import OffsetPaginator, RowCap
from oauth_taskflow.errors import InvalidRecord, PaginationLimit
from tests.api.pull.both_sessions import read_by_both
from tests.api.scripted import Asked
from tests.engine.test_capped import CAP, DAY, START, Search, pull
from tests.engine.yaml_run import pull_yaml

WALK = """
request: {path: /rows, params: {since: "{{ window.start }}", until: "{{ window.end }}", sort: "-t"}}
records: items
primary_key: id
paginate: {type: offset, size: 5, cap: {rows: 20, then: from_last_record, order: descending}}
incremental: {field: t, start: 2026-01-01, format: FORMAT, UPPER}
"""
UPPERS = {"exclusive": "upper: exclusive", "inclusive": "upper: inclusive, unit: PT1S"}
clustered = st.lists(st.one_of(st.integers(0, 86_399), st.integers(40_000, 40_030)), max_size=120)


class NewestFirst(Search):
    """The search, sorted with the newest first."""

    def __init__(self, seconds: list[int], **options: Any) -> None:
        super().__init__(seconds, **options)
        self.rows.reverse()


@given(clustered, st.sampled_from(["iso", "epoch"]), st.sampled_from(["exclusive", "inclusive"]))
def test_a_window_asked_again_below_the_last_record_gives_each_record_once(
    seconds: list[int], style: str, upper: str
) -> None:
    search = NewestFirst(seconds, inclusive=upper == "inclusive")
    text = WALK.replace("FORMAT", style).replace("UPPER", UPPERS[upper])
    if max((seconds.count(at) for at in seconds), default=0) >= CAP - 1:
        return
    pulled = pull(text, search)
    assert sorted(pulled.ids) == list(range(len(seconds)))
    assert search.refused == 0


def test_the_window_of_a_restart_ends_at_the_last_record_and_keeps_its_begin() -> None:
    search = NewestFirst([100 * number for number in range(30)])
    text = WALK.replace("FORMAT", "iso").replace("UPPER", UPPERS["exclusive"])
    pulled = pull(f"{text}concurrency: 1\n", search)
    assert pulled.ids == list(range(29, -1, -1))
    bounds = [(asked.query["since"], asked.query["until"]) for asked in pulled.api.asked]
    begin = "2026-01-01T00:00:00Z"
    assert bounds == [(begin, "2026-01-02T00:00:00Z")] * 4 + [(begin, "2026-01-01T00:16:41Z")] * 3


def test_fractions_of_a_second_are_asked_for_again_too() -> None:
    search = NewestFirst(list(range(0, 3000, 100)))
    for row in search.rows:
        row["t"] = row["t"].replace("Z", ".250Z")
    pulled = pull(WALK.replace("FORMAT", "iso").replace("UPPER", UPPERS["exclusive"]), search)
    assert pulled.ids == list(range(29, -1, -1))
    ends = {asked.query["until"] for asked in pulled.api.asked}
    assert ends == {"2026-01-02T00:00:00Z", "2026-01-01T00:16:40.250001Z"}


def test_records_in_the_other_order_fail() -> None:
    text = WALK.replace("FORMAT", "iso").replace("UPPER", UPPERS["exclusive"])
    with pytest.raises(InvalidRecord, match="The records are not in descending order of 't'"):
        pull(text, Search([100 * number for number in range(30)]))


def test_more_records_of_one_instant_than_the_cap_shows_fail() -> None:
    text = WALK.replace("FORMAT", "iso").replace("UPPER", UPPERS["exclusive"])
    with pytest.raises(PaginationLimit, match="so that the next ones cannot be asked for"):
        pull(text, NewestFirst([40_000] * 30))


def by_id(asked: Asked, *, inclusive: bool = True) -> Any:
    highest = int(asked.query.get("max_id", 10**9))
    rows = [{"id": n} for n in range(50, 0, -1) if n < highest or (inclusive and n == highest)]
    start = int(asked.query["offset"])
    return {"items": rows[:20][start : start + 5]}


DOWNWARDS = OffsetPaginator(
    size=5,
    cap=RowCap(rows=20, then="from_last_record", field="id", param="max_id", order="descending"),
)


def test_sessions_go_down_by_a_parameter() -> None:
    records, asked = read_by_both(by_id, records="items", paginate=DOWNWARDS)
    assert [record["id"] for record in records] == list(range(50, 0, -1))
    assert {one.query.get("max_id") for one in asked} == {None, "31", "12"}


def test_an_exclusive_bound_is_noticed() -> None:
    with pytest.raises(InvalidRecord, match=r"If its bound is exclusive \(<\), records"):
        read_by_both(
            lambda asked: by_id(asked, inclusive=False), records="items", paginate=DOWNWARDS
        )


def test_a_feed_of_the_newest_first_ends_where_all_is_older(tmp_path: Path) -> None:
    times = [START + timedelta(minutes=10 * number) for number in range(-200, 140)]
    rows: list[dict[str, Any]] = [{"id": n, "t": at.isoformat()} for n, at in enumerate(times)][
        ::-1
    ]

    def route(asked: Asked) -> Any:
        until, start = asked.query.get("before", "9"), int(asked.query["offset"])
        return {"items": [row for row in rows if row["t"] <= until][:20][start : start + 5]}

    text = """
    request: {path: /rows}
    records: items
    primary_key: id
    paginate: {type: offset, size: 5, cap: {rows: 20, then: from_last_record, field: t, param: before, order: descending}}
    incremental: {field: t, start: 2026-01-01, keep: window, order: newest_first}
    """

    pulled = pull_yaml(text, DAY, route, tmp_path)
    assert pulled.ids == [row["id"] for row in rows if row["t"] >= START.isoformat()]
    assert len(pulled.api.asked) < 45
