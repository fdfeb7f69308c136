"""``keep: window``: exact bounds in every form, and pages newest first that end where all that follows is older."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.dates import read_instant
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.engine.window_filter import OlderPages, WindowStage
from oauth_taskflow.errors import InvalidRecord, PagesCutShort
from oauth_taskflow.specs.instant_formats import format_instant
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Incremental, Interval, Window
from tests.api.pull.styles import PAGED, SIZE, STYLES, Api
from tests.api.scripted import Asked, Reply
from tests.engine.yaml_run import pull_endpoint, pull_yaml, utc

UTC = timezone.utc
HOUR = Interval(utc(2026, 1, 1, 6), utc(2026, 1, 1, 7))
MICROSECOND = timedelta(microseconds=1)


def window_of(interval: Interval) -> Window:
    assert interval.start is not None
    return Window(interval.start, interval.end, "", "")


def keep(
    values: list[Any], window: Interval = HOUR, *, raw: bool = True, **options: Any
) -> list[Any]:
    stage = WindowStage(Incremental(field="t", keep="window", **options))
    stage.begin_window(window_of(window))
    records: list[Any] = [{"t": value} for value in values]
    if raw:
        records = [msgspec.Raw(json.dumps(record).encode()) for record in records]
    kept = stage.process(records, Page([], 0, "", 0))
    return [msgspec.json.decode(one)["t"] if raw else one["t"] for one in kept]


@pytest.mark.parametrize(
    ("form", "before", "first", "last", "after"),
    [
        (
            None,
            "2026-01-01T05:59:59Z",
            "2026-01-01T06:00:00Z",
            "2026-01-01T06:59:59Z",
            "2026-01-01T07:00:00Z",
        ),
        (
            None,
            "2026-01-01T05:59:59.999Z",
            "2026-01-01T06:00:00.000Z",
            "2026-01-01T06:59:59.999Z",
            "2026-01-01T07:00:00.000Z",
        ),
        (
            None,
            "2026-01-01T06:59:59.999999999+01:00",
            "2026-01-01T07:00+01:00",
            "2026-01-01 06:59:59,9",
            "2026-01-01T08:00+01:00",
        ),
        (None, 1767247199, 1767247200, 1767250799, 1767250800),
        (None, "1767247199.999999", "1767247200.000000", "1767250799.999999", "1767250800.0"),
        (
            None,
            "/Date(1767247199999)/",
            "/Date(1767247200000)/",
            "/Date(1767250799999)/",
            "/Date(1767250800000)/",
        ),
        ("epoch_ms", 1767247199999, 1767247200000, 1767250799999, 1767250800000),
        (
            "%d.%m.%Y %H:%M",
            "01.01.2026 05:59",
            "01.01.2026 06:00",
            "01.01.2026 06:59",
            "01.01.2026 07:00",
        ),
    ],
)
def test_records_exactly_at_the_bounds_are_kept_and_left_out(
    form: Any, before: Any, first: Any, last: Any, after: Any
) -> None:
    values = [after, last, first, before]
    assert keep(values, field_format=form) == [last, first]
    assert keep(values, field_format=form, raw=False) == [last, first]


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001
WRITE: dict[str, Callable[[datetime], Any]] = {
    "seconds": lambda at: at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    "milliseconds": lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "microseconds": lambda at: at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    "nanoseconds": lambda at: at.isoformat(timespec="microseconds").replace("+00:00", "123Z"),
    "mixed": lambda at: format_instant(at, "iso"),
    "epoch": lambda at: format_instant(at, "epoch"),
    "epoch_us": lambda at: format_instant(at, "epoch_us"),
    "http": lambda at: format_instant(at, "http"),
}


@given(
    records=st.lists(moments, max_size=20),
    bounds=st.tuples(moments, moments).map(sorted),
    form=st.sampled_from(sorted(WRITE)),
)
def test_the_records_kept_are_those_in_the_window(
    records: list[datetime], bounds: list[datetime], form: str
) -> None:
    values = [WRITE[form](at) for at in [*records, *bounds]]
    window = Interval(bounds[0], bounds[1])
    expected = [v for v in values if bounds[0] <= read_instant(v).moment < bounds[1]]
    assert keep(values, window) == expected


@given(edges=st.lists(moments, min_size=2, max_size=6, unique=True), at=moments)
def test_a_record_is_kept_by_exactly_one_of_consecutive_windows(
    edges: list[datetime], at: datetime
) -> None:
    edges.sort()
    windows = [Interval(a, b) for a, b in itertools.pairwise(edges)]
    kept = [found for window in windows if (found := keep([WRITE["microseconds"](at)], window))]
    assert len(kept) == (edges[0] <= at < edges[-1])


def test_the_first_and_the_last_instant_are_bounds_too() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    values = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    assert keep(values, Interval(first, last)) == values
    assert keep(["9999-12-31T23:59:59.999999Z"], Interval(first, last)) == []


def test_an_hour_that_clocks_repeat_is_two_windows_of_utc() -> None:
    # In Berlin the clocks of 25 October 2026 show 02:00 to 03:00 twice.
    values = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]
    summer = Interval(utc(2026, 10, 25, 0), utc(2026, 10, 25, 1))
    winter = Interval(utc(2026, 10, 25, 1), utc(2026, 10, 25, 2))
    assert keep(values, summer) == values[:1]
    assert keep(values, winter) == values[1:]


def test_missing_decides_about_records_without_the_field() -> None:
    values = [None, "2026-01-01T06:30:00Z", "", "0000-00-00 00:00:00"]
    assert keep(values, missing="include") == values
    assert keep(values, missing="exclude") == values[1:2]
    with pytest.raises(InvalidRecord) as caught:
        keep(values)
    assert str(caught.value) == (
        "The field 't', which incremental.field names, is null in a record. "
        "Correct incremental.field, or set incremental.missing: include or exclude."
    )


@pytest.mark.parametrize("missing", ["fail", "include", "exclude"])
def test_an_unreadable_time_fails_whatever_is_missing(missing: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        keep(["2026-01-01T06:30:00Z", 5], missing=missing)
    assert str(caught.value) == (
        "The incremental field 't' is 5: its number of digits does not say the unit; name its form: epoch, epoch_ms or "
        "epoch_us. Write into incremental.field_format how records write the field."
    )


def pages_read(times: list[Any], size: int, *, since: int = 1000, form: str = "epoch") -> int:
    """How many pages of ``times`` are read before nothing newer than ``since`` can follow."""
    options = Incremental(field="t", keep="window", order="newest_first", field_format=form)
    bounds = (datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(10**9, UTC))
    older = OlderPages(options, Window(*bounds, "", ""))
    pages = [times[at : at + size] for at in range(0, len(times), size)]
    for number, page in enumerate(pages, 1):
        assert not older.is_last([])  # a page without records ends nothing
        if older.is_last([{"t": time} for time in page]):
            return number
    return len(pages)


@pytest.mark.parametrize(
    ("times", "size", "read"),
    [
        ([1003, 1002, 1001, 999, 998, 997], 3, 2),
        ([1003, 1002, 1001, 1000, 1000, 999, 998, 997, 996], 3, 3),
        ([1003, 1002, 999, 998, 997, 996, 995, 994], 3, 2),  # one older record may be out of place
        ([1003, 999, 998, 997, 996, 995], 3, 1),
        ([1003, 5, 1002, 1001, 999, 998, 997, 996], 2, 3),
        ([1003, 1002, 1001, 5, 1000, 999, 998, 997], 4, 2),
        ([3, 2, 1003, 1002, 1001, 1000, 999, 998, 997], 3, 3),  # pinned to the top
        ([1003, 3, 1002, 999, 998, 997, 996], 4, 2),
        ([999, 998, 997, 996], 2, 1),
        ([999], 2, 1),
        ([1003, 999, 998, 997], 1, 3),
        ([1003, None, 999, 998, 997, 996, 995], 4, 2),
        ([1003, 999, None, 998, None, 997], 3, 2),
        ([1003, "x", 998, 997, 996, 995], 3, 2),
        ([], 3, 0),
    ],
)
def test_paging_ends_where_all_that_follows_is_older(
    times: list[Any], size: int, read: int
) -> None:
    assert pages_read(times, size) == read


@given(
    times=st.lists(st.integers(900, 1100), max_size=60).map(
        lambda each: sorted(each, reverse=True)
    ),
    size=st.integers(1, 10),
    old=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 899)),
)
def test_no_record_of_the_window_is_lost_though_an_older_one_is_out_of_place(
    times: list[int], size: int, old: tuple[int, int] | None
) -> None:
    if old is not None:
        times.insert(min(old[0], len(times)), old[1])
    read = times[: pages_read(times, size) * size]
    assert [time for time in times if time >= 1000] == [time for time in read if time >= 1000]
    if old is None:
        wanted = sum(time >= 1000 for time in times)
        assert len(read) <= -(-(wanted + 2) // size) * size


class Feed(Api):
    """Rows newest first, in every style of paging."""

    def __init__(self, style: str, rows: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(style, pages=-(-len(rows) // SIZE), **options)
        self.rows = rows

    def __call__(self, asked: Asked) -> Reply:
        index = self.index(asked)
        self.asked[index] += 1
        return self.page(index, self.rows[index * SIZE : (index + 1) * SIZE])


ROWS = [
    {"id": number, "t": f"2026-01-01T{hour:02d}:{minute:02d}:00Z"}
    for number, (hour, minute) in enumerate(
        [
            (7, 30),
            (7, 0),
            (6, 59),
            (6, 30),
            (6, 0),
            (5, 59),
            (5, 30),
            (5, 0),
            (4, 0),
            (3, 0),
            (2, 0),
            (1, 0),
        ],
        start=1,
    )
]
NEWEST_FIRST = Incremental(field="t", keep="window", order="newest_first")
FEED = Endpoint(
    request=Request(path="/items"),
    records="items",
    incremental=NEWEST_FIRST,
    destination=FileDestination(path="/unused"),
)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("style", PAGED)
def test_a_feed_in_any_style_is_read_to_the_window_and_no_further(
    tmp_path: Path, style: str, concurrency: int
) -> None:
    feed = Feed(style, ROWS)
    endpoint = replace(FEED, paginate=STYLES[style](), concurrency=concurrency)
    pulled = pull_endpoint(endpoint, HOUR, feed, tmp_path)
    assert pulled.ids == [3, 4, 5]
    assert set(feed.asked.values()) == {1}
    # Pages 3 and 4 are [6:00, 5:59] and [5:30, 5:00]; styles that read ahead ask for three at once.
    most = 4 + (2 if "ahead" in style else 0)
    assert 4 <= len(feed.asked) <= most
    assert pulled.summary.pages == 4
    assert pulled.summary.outside == pulled.manifest["outside"] == 5
    assert pulled.summary.watermark == "2026-01-01T06:59:00Z"


@pytest.mark.parametrize("style", PAGED)
def test_without_an_order_all_pages_are_read_and_raw_rows_count(tmp_path: Path, style: str) -> None:
    options = Incremental(field="t", keep="window")
    paginate = STYLES[style](total="total")
    endpoint = replace(FEED, incremental=options, paginate=paginate)
    feed = Feed(style, ROWS, total=len(ROWS))
    pulled = pull_endpoint(endpoint, HOUR, feed, tmp_path / "all")
    assert (pulled.ids, pulled.summary.outside) == ([3, 4, 5], len(ROWS) - 3)
    with pytest.raises(PagesCutShort):
        pull_endpoint(endpoint, HOUR, Feed(style, ROWS, total=99), tmp_path / "short")
    newest = replace(endpoint, incremental=NEWEST_FIRST)
    stopped = pull_endpoint(newest, HOUR, Feed(style, ROWS, total=99), tmp_path / "stopped")
    assert stopped.ids == [3, 4, 5]


def test_each_hour_gets_its_records_once(tmp_path: Path) -> None:
    edges = [utc(2026, 1, 1, hour) for hour in range(9)]
    endpoint = replace(FEED, paginate=STYLES["cursor"]())
    found = [
        pull_endpoint(endpoint, Interval(a, b), Feed("cursor", ROWS), tmp_path / str(a.hour)).ids
        for a, b in itertools.pairwise(edges)
    ]
    assert sorted(number for ids in found for number in ids) == [row["id"] for row in ROWS]


def test_a_spec_keeps_the_window_and_an_error_names_the_page(tmp_path: Path) -> None:
    endpoint = """
    request: {path: /items}
    records: items
    primary_key: id
    incremental: {field: t, field_format: "%d/%m/%Y", keep: window, missing: exclude}
    """
    rows: list[dict[str, Any]] = [
        {"id": 1, "t": "01/01/2026"},
        {"id": 2, "t": None},
        {"id": 3, "t": "31/12/2025"},
    ]
    day = Interval(utc(2026, 1, 1), utc(2026, 1, 2))
    pulled = pull_yaml(endpoint, day, lambda _: {"items": rows}, tmp_path)
    assert pulled.ids == [1]
    assert pulled.summary.as_dict()["outside"] == 2
    rows[2]["t"] = "2026-01-01"
    with pytest.raises(
        InvalidRecord, match=r"it is not in the form %d/%m/%Y at http://.*/items\. "
    ):
        pull_yaml(endpoint, day, lambda _: {"items": rows}, tmp_path)


def test_the_records_left_out_by_mapped_tasks_add_up() -> None:
    summaries = [EndpointSummary("a", 1, 1, 1, 1, 1, 0.1, [], "m", outside=n) for n in (2, 3)]
    assert add_up("a", summaries).outside == 5


@pytest.mark.parametrize(
    ("style", "unit"), [("date", 86_400), ("epoch", 1), ("%Y-%m-%dT%H:%M:%SZ", 1)]
)
def test_an_inclusive_end_that_the_api_takes_coarsely_loses_and_repeats_nothing(
    style: str, unit: int, tmp_path: Path
) -> None:
    moments = [
        utc(2026, 1, 1, 5) + timedelta(minutes=minutes, microseconds=micro)
        for minutes in range(0, 240, 20)
        for micro in (0, 1, 999_999)
    ]
    rows = [{"id": number, "t": one.isoformat()} for number, one in enumerate(moments)]

    def route(asked: Asked) -> Reply:
        since, until = (_moment_of(asked.query[name], style) for name in ("since", "until"))
        # The API compares whole units, and includes both bounds.
        found = [
            row
            for row, one in zip(rows, moments, strict=True)
            if since <= _floor(one, unit) <= until
        ]
        return Reply({"items": found})

    text = f"""
        request: {{path: /items, params: {{since: "{{{{ window.start }}}}", until: "{{{{ window.end }}}}"}}}}
        records: items
        incremental: {{field: t, keep: window, upper: inclusive, format: "{style}"}}
    """
    ids: list[int] = []
    for hour in (5, 6, 7, 8):
        interval = Interval(utc(2026, 1, 1, hour), utc(2026, 1, 1, hour + 1))
        ids += pull_yaml(text, interval, route, tmp_path / str(hour)).ids
    assert ids == list(range(len(rows)))


def _moment_of(text: str, style: str) -> datetime:
    form = {"date": "%Y-%m-%d"}.get(style, style)
    if form == "epoch":
        return datetime.fromtimestamp(int(text), tz=UTC)
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _floor(moment: datetime, unit: int) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // unit * unit, tz=UTC)
