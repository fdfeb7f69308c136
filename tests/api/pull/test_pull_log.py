"""The log of a pull while it goes on: what each line holds, and how many there are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.paginators import PageNumberPaginator
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.pull_log import PullLog, log_sequence
from oauth_taskflow.api.session import OAuthSession
from tests.api.scripted import Asked, Reply, Sources, scripted
from tests.support.clock import FakeClock

URL = "https://api.example.com/rows?key=***"


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, message: str, *values: Any) -> None:
        self.lines.append(message % values)


def page(rows: int = 3, **more: Any) -> Page:
    return Page(records=[0] * rows, bytes=10, url=URL, index=0, **more)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_long_sequence_has_a_first_line_progress_and_an_end(
    clock: FakeClock, lines: Lines
) -> None:
    log = PullLog(lines, "notes", clock, total=2)
    first = log.begin(", window A to B")
    first.page(page())
    for _ in range(3):
        clock.advance(5)
        first.page(page(waits={"HTTP 429": 2.0}))
    first.end()
    clock.advance(1)
    log.begin(", window B to C").page(page())
    log.close()
    waits = "waited {0:.1f} s (HTTP 429 {0:.1f} s)"
    assert lines.lines == [
        f"notes: first page: 3 rows, window A to B from {URL}",
        f"notes: 3 pages, 9 rows, 1 rows/s, {waits.format(4)}; sequence 1 of 2, window A to B, {URL}",
        "notes: sequence 1 of 2 ended, window A to B: 4 pages, 12 rows, 1 rows/s, "
        f"{waits.format(6)}, {URL}",
    ]


def test_progress_names_the_sequences_that_ended_and_the_figures_of_this_one(
    clock: FakeClock, lines: Lines
) -> None:
    log = PullLog(lines, "notes", clock)
    for _ in range(4):
        with log_sequence(log) as note:
            note(page())
    clock.advance(10)
    with log_sequence(log) as note:
        note(page(5))
    assert lines.lines[1:] == [
        "notes: 5 pages, 17 rows, 2 rows/s; sequence 5, its 1 pages and 5 rows, 4 ended since the last line, "
        + URL
    ]


@pytest.mark.parametrize(("sequences", "seconds"), [(5000, 0.02), (2000, 0.5), (300, 30.0)])
def test_many_sequences_have_lines_by_time_and_not_by_number(
    clock: FakeClock, lines: Lines, sequences: int, seconds: float
) -> None:
    log = PullLog(lines, "notes", clock, total=sequences)
    for number in range(sequences):
        sequence = log.begin(f", parent record {number}")
        sequence.page(page())
        clock.advance(seconds / 2)
        sequence.page(page())
        clock.advance(seconds / 2)
        sequence.end()
    while_pulling = len(lines.lines)
    log.close()
    assert while_pulling <= 1 + 2 * sequences * seconds / 10
    assert len(lines.lines) - while_pulling <= 11


def test_short_sequences_come_at_the_end_ten_by_name_and_the_rest_as_a_sum(
    clock: FakeClock, lines: Lines
) -> None:
    log = PullLog(lines, "notes", clock, total=13)
    for number in range(13):
        sequence = log.begin(f", parent record {number + 1} of 13")
        sequence.page(page(waits={"HTTP 503": 0.5}))
        clock.advance(0.5)
        sequence.end()
    log.close()
    log.close()
    assert len(lines.lines) == 12
    assert lines.lines[1] == (
        "notes: sequence 1 of 13 ended, parent record 1 of 13: 1 pages, 3 rows, 6 rows/s, "
        f"waited 0.5 s (HTTP 503 0.5 s), {URL}"
    )
    assert lines.lines[-1] == (
        "notes: 3 sequences more ended: 3 pages, 9 rows, waited 1.5 s (HTTP 503 1.5 s); "
        f"the longest, 0.5 s, was 13, parent record 13 of 13, {URL}"
    )


def test_the_only_sequence_needs_no_end_of_its_own(clock: FakeClock, lines: Lines) -> None:
    log = PullLog(lines, "notes", clock, total=1)
    sequence = log.begin()
    sequence.page(page())
    sequence.end()
    log.close()
    assert lines.lines == [f"notes: first page: 3 rows from {URL}"]


def test_a_sequence_that_a_failure_cut_off_is_named(clock: FakeClock, lines: Lines) -> None:
    log = PullLog(lines, "notes", clock, total=5)
    log.begin().end()
    sequence = log.begin(", window A to B")
    sequence.page(page())
    clock.advance(3)
    log.close(cut_off=sequence)
    assert lines.lines[1:] == [
        "notes: sequence 1 of 5 ended: 0 pages, 0 rows, 0 rows/s",
        f"notes: sequence 2 of 5 was cut off, window A to B: 1 pages, 3 rows, 1 rows/s, {URL}",
    ]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["begin", "page", "end"]), st.floats(0, 20)), max_size=60
    )
)
def test_no_order_of_events_breaks_the_log_or_floods_it(steps: list[tuple[str, float]]) -> None:
    clock, lines = FakeClock(), Lines()
    log = PullLog(lines, "notes", clock)
    sequence = log.begin()
    for what, seconds in steps:
        clock.advance(seconds)
        if what == "begin":
            sequence = log.begin()
        elif what == "page":
            sequence.page(page())
        else:
            sequence.end()
    assert len(lines.lines) <= 1 + 2 * sum(seconds for _, seconds in steps) / 10
    log.close(cut_off=sequence)


def test_threads_share_a_log(clock: FakeClock, lines: Lines) -> None:
    log = PullLog(lines, "notes", clock)

    def read() -> None:
        for _ in range(200):
            with log_sequence(log) as note:
                note(page())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(lines.lines) == 12
    assert "790 sequences more ended: 790 pages, 2,370 rows" in lines.lines[-1]


class Busy:
    """Three pages of two rows; the second one asks to wait for 12 s first, once for each path."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def __call__(self, asked: Asked) -> Any:
        number = int(asked.query["page"])
        if number == 2 and asked.path not in self.refused:
            self.refused.add(asked.path)
            return Reply({}, 429, {"Retry-After": "12"})
        return [{"id": number}, {"id": -number}] if number < 4 else []


@pytest.fixture
def api_url() -> Iterator[str]:
    with scripted(Busy()) as api:
        yield api.url


def check_lines(caplog: pytest.LogCaptureFixture, url: str) -> None:
    found = [line for line in caplog.messages if line.startswith("crm: ")]
    assert found[0] == f"crm: first page: 2 rows from {url}/a?api_key=***&page=1"
    assert [line for line in found if "waited 12.0 s (HTTP 429 12.0 s)" in line]
    assert found[-1].startswith("crm: sequence 2 ended: 4 pages, 6 rows, ")
    assert "hush" not in caplog.text


def test_pulls_of_a_session_are_logged(
    api_url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "oauth_taskflow")
    with OAuthSession(api_url, Sources(), clock=clock, conn_id="crm") as session:
        for path in "ab":
            numbered = PageNumberPaginator()
            rows = session.paginate(f"/{path}", paginate=numbered, params={"api_key": "hush"})
            assert len(list(rows)) == 6
    check_lines(caplog, api_url)


def test_pulls_of_an_async_session_are_logged(
    api_url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "oauth_taskflow")

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    async def read() -> None:
        async with AsyncOAuthSession(
            api_url, Sources(), clock=clock, sleep=sleep, conn_id="crm"
        ) as session:
            for path in "ab":
                numbered = PageNumberPaginator()
                rows = session.paginate(f"/{path}", paginate=numbered, params={"api_key": "hush"})
                assert len([row async for row in rows]) == 6

    asyncio.run(read())
    check_lines(caplog, api_url)


def test_a_pull_that_is_left_early_ends_its_sequence(
    api_url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "oauth_taskflow")
    with OAuthSession(api_url, Sources(), clock=clock, conn_id="crm") as session:
        for _ in range(2):
            pages = session.paginate("/a", paginate=PageNumberPaginator())
            next(pages)
            pages.close()
    assert [line for line in caplog.messages if "sequence 2 ended: 1 pages, 2 rows" in line]


def test_a_sequence_that_ends_twice_is_counted_once(clock: FakeClock, lines: Lines) -> None:
    log = PullLog(lines, "notes", clock, total=2)
    sequence = log.begin()
    sequence.page(page())
    sequence.end()
    sequence.end()
    log.begin().end()
    log.close()
    ended = [line.partition(" ended")[0] for line in lines.lines if "ended" in line]
    assert ended == ["notes: sequence 1 of 2", "notes: sequence 2 of 2"]
