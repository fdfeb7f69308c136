"""A task's use of Airflow's context, and its log while it runs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.engine.sequence_view import SequenceView
from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Incremental, Interval, Window
from oauth_taskflow.taskflow.dags.endpoint_task import (
    check_interval,
    run_interval,
    task_template_context,
)
from oauth_taskflow.taskflow.dags.run_log import PageLog

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = NEW_YEAR + timedelta(hours=1)


class FakeClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, msg: str, /, *args: Any) -> None:
        self.lines.append(msg % args)

    warning = info


def context(**given: Any) -> dict[str, Any]:
    run = SimpleNamespace(run_after=LATER)
    named = {"dag": SimpleNamespace(dag_id="crm"), "ti": SimpleNamespace(map_index=2)}
    return {"dag_run": run, "run_id": "manual__1", "params": {"a": 1}, **named, **given}


URL = "https://api.example.com/contacts?page=1&key=***"
WINDOW = Window(NEW_YEAR, LATER, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")


def test_progress_is_logged_with_the_first_page_and_every_ten_seconds() -> None:
    clock, log = FakeClock(), Lines()
    progress = PageLog(log, "contacts", clock)
    progress.begin(SequenceView(1, WINDOW))
    for seconds in (4.0, 5.0, 1.0, 9.0):
        clock.sleep(seconds)
        progress(Page(records=[1, 2, 3], bytes=10, url=URL, index=0))
    window = "window 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z"
    assert log.lines == [
        f"contacts: first page: 3 rows, {window} from {URL}",
        f"contacts: 3 pages, 9 rows, 1 rows/s; sequence 1, {window}, {URL}",
    ]


def test_a_thousand_pages_a_minute_are_seven_lines() -> None:
    clock, log = FakeClock(), Lines()
    progress = PageLog(log, "contacts", clock)
    for number in range(1000):
        progress.begin(SequenceView(number + 1))
        progress(Page(records=[1], bytes=10, url=URL, index=0))
        clock.sleep(0.06)
    assert len(log.lines) == 6
    assert log.lines[0] == f"contacts: first page: 1 rows from {URL}"
    assert "window" not in log.lines[-1]


def test_a_run_with_a_data_interval_reads_it() -> None:
    found = run_interval(context(data_interval_start=NEW_YEAR, data_interval_end=LATER))
    assert found == Interval(NEW_YEAR, LATER)


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({}, LATER),
        ({"logical_date": NEW_YEAR}, NEW_YEAR),
        (
            {
                "data_interval_start": NEW_YEAR,
                "data_interval_end": NEW_YEAR,
                "logical_date": NEW_YEAR,
            },
            NEW_YEAR,
        ),
    ],
)
def test_a_run_without_a_data_interval_reads_from_the_beginning_to_its_own_time(
    given: dict[str, Any], end: datetime
) -> None:
    assert run_interval(context(**given)) == Interval(None, end, open_end=True)


INCREMENTAL = Incremental(field="t", start="2024-01-01")


def test_a_run_without_an_interval_logs_what_it_reads_and_why() -> None:
    log = Lines()
    endpoint = Endpoint(incremental=INCREMENTAL)
    check_interval("contacts", endpoint, run_interval(context()), log)
    assert log.lines == [
        "contacts: this run has no data interval (it was triggered by hand, by the API or by assets, or its DAG has no "
        "schedule): everything from 2024-01-01 (incremental.start) to 2026-01-01T01:00:00+00:00 is read, as by each "
        "such run"
    ]


def test_a_run_with_an_interval_and_an_endpoint_without_windows_log_nothing() -> None:
    log = Lines()
    check_interval("a", Endpoint(incremental=INCREMENTAL), Interval(NEW_YEAR, LATER), log)
    check_interval("b", Endpoint(), run_interval(context()), log)
    assert log.lines == []


def test_a_run_without_an_interval_fails_where_the_spec_says_so() -> None:
    refusing = Endpoint(incremental=msgspec.structs.replace(INCREMENTAL, without_interval="fail"))
    with pytest.raises(SpecError) as caught:
        check_interval("contacts", refusing, run_interval(context()), Lines())
    assert str(caught.value) == (
        "1 spec problem:\ncontacts: this run has no data interval (it was triggered by hand, by the API or by assets, "
        "or its DAG has no schedule), and incremental.without_interval is fail. Trigger it with a logical date, or let "
        "the schedule or a backfill start it."
    )


def test_names_that_the_run_has_no_value_for_are_undefined() -> None:
    names = task_template_context("contacts", context(ds=None, ts="2026"))
    assert names == {
        "params": {"a": 1},
        "endpoint": "contacts",
        "dag_id": "crm",
        "run_id": "manual__1",
        "ts": "2026",
        "map_index": 2,
        "run_after": LATER,
    }
