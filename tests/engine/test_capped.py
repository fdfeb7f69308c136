"""Windows past the cap of an API: narrowed, or asked again from the last record on. Complete, once, and nothing behind."""

from __future__ import annotations

import random
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.engine.capped import split_window
from oauth_taskflow.errors import InvalidRecord, PagesCutShort, PaginationLimit
from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.specs.windows import Incremental, Interval, Window, cut_windows, is_empty_window
from tests.api.scripted import Asked, Reply
from tests.engine.yaml_run import Pulled, pull_yaml, utc
from tests.support.examples import examples

START = utc(2026, 1, 1)
DAY = Interval(START, utc(2026, 1, 2))
CAP, SIZE = 20, 5
NARROW = """
request: {path: /rows, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}
records: items
PRIMARY
paginate: {type: offset, size: 5, TOTAL cap: {rows: 20, then: narrow}}
incremental: {field: t, start: 2026-01-01, UPPER}
"""
WALK = """
request: {path: /rows, params: {since: "{{ window.start }}", until: "{{ window.end }}", sort: t}}
records: items
primary_key: id
paginate: {type: offset, size: 5, cap: {rows: 20, then: from_last_record}}
incremental: {field: t, start: 2026-01-01, format: FORMAT}
"""


class Search:
    """A search that shows ``CAP`` of the rows of a window, in any order unless it is sorted, and refuses what is behind."""

    def __init__(
        self, seconds: list[int], *, total: str = "none", inclusive: bool = False, seed: int = 0
    ) -> None:
        self.rows: list[dict[str, Any]] = [
            {"id": number, "t": (START + timedelta(seconds=at)).isoformat()[:19] + "Z"}
            for number, at in enumerate(sorted(seconds))
        ]
        self.shuffled = random.Random(seed).sample(self.rows, len(self.rows))
        self.total, self.inclusive = total, inclusive
        self.refused = 0

    def __call__(self, asked: Asked) -> Any:
        query = asked.query
        start = int(query["offset"])
        if start + SIZE > CAP:
            self.refused += 1
            return Reply({"error": "too deep"}, 400)
        rows = self.rows if "sort" in query else self.shuffled
        found = [row for row in rows if self.is_between(row["t"], query["since"], query["until"])]
        body: dict[str, Any] = {"items": found[start : start + SIZE]}
        if self.total != "none":
            body["total"] = len(found) if self.total == "exact" else min(len(found), CAP)
        return body

    def is_between(self, at: str, since: str, until: str) -> bool:
        moment, low, high = map(_moment, (at, since, until))
        return low <= moment <= high if self.inclusive else low <= moment < high


def _moment(text: str) -> datetime:
    if text.isdecimal():
        return utc(1970, 1, 1) + timedelta(seconds=int(text))
    moment = parse_instant(text)
    assert moment is not None
    return moment


def pull(text: str, search: Search) -> Pulled:
    with tempfile.TemporaryDirectory() as folder:
        return pull_yaml(text, DAY, search, Path(folder))


def narrow(*, total: str = "none", inclusive: bool = False, primary_key: bool = True) -> str:
    text = NARROW.replace("TOTAL", "" if total == "none" else "total: total,")
    text = text.replace("PRIMARY", "primary_key: id" if primary_key else "")
    return text.replace(
        "UPPER", "upper: inclusive, unit: PT1S" if inclusive else "upper: exclusive"
    )


clustered = st.lists(st.one_of(st.integers(0, 86_399), st.integers(40_000, 40_030)), max_size=120)


@given(clustered, st.sampled_from(["none", "exact", "capped"]), st.booleans(), st.integers(0, 9))
def test_a_narrowed_window_gives_each_record_once(
    seconds: list[int], total: str, inclusive: bool, seed: int
) -> None:
    if max((seconds.count(at) for at in seconds), default=0) >= CAP:
        return
    search = Search(seconds, total=total, inclusive=inclusive, seed=seed)
    pulled = pull(narrow(total=total, inclusive=inclusive), search)
    assert sorted(pulled.ids) == list(range(len(seconds)))
    assert search.refused == 0
    if total == "exact":  # page one says that a window must be halved, so that none is read twice
        assert pulled.summary.duplicates == 0
    if len(seconds) < CAP - SIZE:
        assert len(pulled.api.asked) <= len(seconds) // SIZE + 2


@examples(0.5)
@given(clustered, st.sampled_from(["1", "4", "auto"]), st.sampled_from(["exact", "none"]))
def test_windows_and_parents_that_are_read_at_once_stay_apart(
    seconds: list[int], concurrency: str, total: str
) -> None:
    if max((seconds.count(at) for at in seconds), default=0) >= CAP:
        return
    search = Search(seconds, total=total)
    text = narrow(total=total).replace("start: 2026-01-01", "start: 2026-01-01, step: PT6H")
    pulled = pull(f"concurrency: {concurrency}\n{text}", search)
    assert sorted(pulled.ids) == list(range(len(seconds)))
    assert search.refused == 0


def test_with_a_total_no_page_but_the_first_of_a_window_is_read_in_vain() -> None:
    search = Search([864 * number for number in range(100)], total="exact")
    pulled = pull(narrow(total="exact", primary_key=False), search)
    assert sorted(pulled.ids) == list(range(100))
    # Eight windows of 12 or 13 rows, three pages each, and the first pages of the seven windows above them.
    assert len(pulled.api.asked) == 8 * 3 + 7
    assert pulled.summary.rows == 100


def test_a_second_with_more_rows_than_the_cap_fails_in_words() -> None:
    seconds = [*range(0, 86_400, 8_640), *[40_000] * 25]
    search = Search(seconds, total="exact", inclusive=True)
    with pytest.raises(PaginationLimit) as caught:
        pull(narrow(total="exact", inclusive=True), search)
    text = str(caught.value)
    assert text.startswith(
        "The API shows 20 rows of one request, and has more of this one, and the window from "
    )
    assert "2026-01-01T11:06:40Z" in text
    assert "Narrow the request by another parameter, for example with for_each" in text


def test_pages_read_in_vain_without_a_key_fail_instead_of_coming_twice() -> None:
    text = narrow(total="exact", primary_key=False)
    search = Search(
        [864 * number for number in range(100)]
    )  # announces none, although the spec names one
    with pytest.raises(PaginationLimit) as caught:
        pull(text, search)
    assert "its pages were read before that was known" in str(caught.value)
    assert "Write primary_key" in str(caught.value)


def test_without_a_cap_a_total_above_what_came_still_fails() -> None:
    def route(asked: Asked) -> Any:
        start = int(asked.query["offset"])
        return {
            "items": [{"id": n, "t": "2026-01-01"} for n in range(start, min(start + 5, 10))],
            "total": 30,
        }

    text = """
    request: {path: /rows, params: {since: "{{ window.start }}"}}
    records: items
    paginate: {type: offset, size: 5, total: total}
    incremental: {field: t, start: 2026-01-01}
    """
    with (
        pytest.raises(PagesCutShort, match="the API announced 30"),
        tempfile.TemporaryDirectory() as folder,
    ):
        pull_yaml(text, DAY, route, Path(folder))


@given(clustered, st.sampled_from(["iso", "epoch", "%Y-%m-%dT%H:%M:00Z"]))
def test_a_window_asked_again_from_the_last_record_gives_each_record_once(
    seconds: list[int], style: str
) -> None:
    search = Search(seconds)
    text = WALK.replace("FORMAT", f"{style!r}" if "%" in style else style)
    grain = {"%Y-%m-%dT%H:%M:00Z": 60}.get(style, 1)
    grains = [at // grain for at in seconds]
    if max((grains.count(at) for at in grains), default=0) >= CAP - 1:
        with suppress(PaginationLimit):
            assert sorted(pull(text, search).ids) == list(range(len(seconds)))
    else:
        pulled = pull(text, search)
        assert sorted(pulled.ids) == list(range(len(seconds)))
    assert search.refused == 0


def test_the_window_of_a_restart_begins_at_the_last_record_and_keeps_its_end() -> None:
    search = Search([100 * number for number in range(30)])
    pulled = pull(f"{WALK.replace('FORMAT', 'iso')}concurrency: 1\n", search)  # without guesses
    assert pulled.ids == list(range(30))
    bounds = [(asked.query["since"], asked.query["until"]) for asked in pulled.api.asked]
    end = "2026-01-02T00:00:00Z"
    assert bounds == [("2026-01-01T00:00:00Z", end)] * 4 + [("2026-01-01T00:31:40Z", end)] * 3
    assert (pulled.summary.pages, pulled.summary.rows) == (7, 30)
    assert pulled.summary.watermark == "2026-01-01T00:48:20Z"


def test_a_last_record_without_a_readable_time_names_field_and_option() -> None:
    search = Search([100 * number for number in range(30)])
    for row in search.rows:
        row["u"] = f"no. {row['id']:03}"
    text = WALK.replace("FORMAT", "iso").replace("from_last_record", "from_last_record, field: u")
    with pytest.raises(InvalidRecord, match=r"window\.start cannot be moved to u = ") as caught:
        pull(text, search)
    assert "incremental.field_format" in caught.value.hint


def test_a_restart_needs_records_in_order() -> None:
    search = Search([100 * number for number in range(30)])
    text = WALK.replace("FORMAT", "iso").replace(", sort: t", "")
    with pytest.raises(InvalidRecord, match="The records are not in ascending order of 't'"):
        pull(text, search)


def test_a_restart_by_a_parameter_works_with_templates_that_place_the_page() -> None:
    rows = [{"id": number} for number in range(33)]

    def route(asked: Asked) -> Any:
        since, start = int(asked.query.get("min_id", 0)), int(asked.query["q"].split()[-1])
        return {"items": [row for row in rows if row["id"] >= since][:20][start : start + 5]}

    text = """
    request: {path: /rows, params: {q: "skip {{ page.offset }}"}}
    records: items
    paginate: {type: offset, size: 5, cap: {rows: 20, then: from_last_record, field: id, param: min_id}}
    """
    with tempfile.TemporaryDirectory() as folder:
        pulled = pull_yaml(text, DAY, route, Path(folder))
    assert pulled.ids == list(range(33))
    assert {asked.query.get("min_id") for asked in pulled.api.asked} == {None, "19"}


# The parts of a window -----------------------------------------------------------------------------

instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - made aware below
    lambda moment: moment.replace(tzinfo=START.tzinfo)
)


@given(
    instants,
    st.timedeltas(timedelta(microseconds=1), timedelta(days=40)),
    st.sampled_from(["iso", "date", "epoch", "epoch_ms", "%Y-%m-%dT%H:%M:%SZ"]),
    st.sampled_from(["inclusive", "exclusive"]),
)
def test_the_parts_of_a_window_join_and_are_smaller(
    since: datetime, length: timedelta, style: str, upper: Any
) -> None:
    unit = "P1D" if style == "date" else "PT1S"
    options = Incremental(field="t", start="2019-01-01", format=style, upper=upper, unit=unit)
    windows = list(cut_windows(options, Interval(since, since + length)))
    for window in windows:
        parts = split_window(options, window)
        if parts is None:
            continue
        first, second = parts
        assert (first.since, first.until, second.until) == (
            window.since,
            second.since,
            window.until,
        )
        assert window.since < second.since < window.until
        assert not is_empty_window(options, first)
        assert not is_empty_window(options, second)
        assert (first.start, second.end) == (window.start, window.end)
        if upper == "exclusive":
            assert first.end == second.start


def test_whole_seconds_are_tried_before_fractions() -> None:
    options = Incremental(field="t", start="2026-01-01")
    (window,) = cut_windows(options, Interval(START, START + timedelta(seconds=3)))
    parts = split_window(options, window)
    assert parts is not None
    assert parts[0].end == "2026-01-01T00:00:02Z"
    (window,) = cut_windows(options, Interval(START, START + timedelta(seconds=1)))
    parts = split_window(options, window)
    assert parts is not None
    assert parts[0].end == "2026-01-01T00:00:00.500000Z"


@pytest.mark.parametrize(
    ("style", "unit", "length"),
    [
        ("iso", "PT1S", timedelta(microseconds=1)),
        ("date", "P1D", timedelta(days=1)),
        ("epoch", "PT1S", timedelta(seconds=1)),
    ],
)
def test_a_single_instant_has_no_parts(style: str, unit: str, length: timedelta) -> None:
    options = Incremental(field="t", start="2026-01-01", format=style, unit=unit, upper="exclusive")
    (window,) = cut_windows(options, Interval(START, START + length))
    assert isinstance(window, Window)
    assert split_window(options, window) is None


def sub_second(seconds: list[int]) -> Search:
    search = Search(seconds, total="exact", inclusive=True)
    for row in search.rows[1::2]:
        row["t"] = row["t"].replace("Z", ".250Z")
    return search


@given(clustered, st.booleans(), st.sampled_from(["iso", "epoch"]), st.sampled_from(["1", "auto"]))
def test_parts_that_share_their_bounds_give_no_record_twice(
    seconds: list[int], has_key: bool, style: str, concurrency: str
) -> None:
    """With ``keep`` the end is sent as it is, and an API that includes it returns its records for both parts."""
    if max((seconds.count(at) + seconds.count(at + 1) for at in seconds), default=0) >= CAP:
        return
    text = narrow(total="exact", inclusive=True, primary_key=has_key)
    text = text.replace("unit: PT1S", f"keep: window, format: {style}")
    search = sub_second(seconds)
    pulled = pull(f"{text}concurrency: {concurrency}\n", search)
    assert sorted(pulled.ids) == list(range(len(seconds)))
    assert pulled.summary.duplicates == 0
