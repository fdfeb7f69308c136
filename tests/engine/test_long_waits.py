"""Waits of a run, on a clock that tests move: a run that can go on later is suspended, any other waits where it is."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.engine import stages
from oauth_taskflow.engine.resume import PullSuspended, ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import BudgetWait
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.pull.styles import STYLES, WithoutSockets
from tests.api.scripted import Asked, Reply
from tests.budgets.memory import MemoryBudgetStore
from tests.engine.cut_off import SEAL
from tests.support.auth import bearer_auth
from tests.support.clock import FakeClock

DAY = 86_400.0
INTERVAL = Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc))


class Pages:
    """``count`` pages of a row; ``busy`` are the requests that are answered with 429 and a wait of 100 seconds."""

    def __init__(self, clock: FakeClock, count: int, busy: tuple[int, ...] = ()) -> None:
        self._clock, self.count, self._busy = clock, count, busy
        self.asked: list[int] = []
        self.times: list[float] = []

    def __call__(self, asked: Asked) -> Any:
        self.times.append(self._clock.now())
        if len(self.times) - 1 in self._busy:
            return Reply({}, 429, headers={"Retry-After": "100"})
        at = int(asked.query.get("at", 0))
        self.asked.append(at)
        more = {"next": str(at + 1)} if at + 1 < self.count else {}
        return {"items": [{"id": at}], **more}

    def most_within(self, seconds: float) -> int:
        """The most requests in any period of ``seconds``."""
        times = self.times
        return max(bisect_left(times, start + seconds) - n for n, start in enumerate(times))


class Bench:
    """Attempts of one run, with budgets that are kept from one to the next."""

    def __init__(self, folder: Path, count: int = 4, busy: tuple[int, ...] = ()) -> None:
        self.clock = FakeClock()
        self.api = Pages(self.clock, count, busy)
        self.store = MemoryBudgetStore(self.clock)
        self.limits: tuple[RateLimit, ...] = ()
        self.endpoint = Endpoint(
            request=Request(path="/rows"),
            records="items",
            paginate=STYLES["cursor"](),
            destination=FileDestination(path=str(folder / "out")),
            concurrency=1,
        )

    def attempt(self, endpoint: Endpoint | None = None) -> EndpointSummary:
        run = EndpointRun(
            name="rows",
            endpoint=endpoint or self.endpoint,
            run_id="r",
            template_context={"endpoint": "rows"},
            interval=INTERVAL,
            access=StoreAccess(lambda path, _conn_id: Path(path)),
            resume=ResumeOptions(SEAL, keep_every=1e9, clock=self.clock),
        )
        budgets = Budgets(lambda: self.store, BudgetSet("crm", self.limits), clock=self.clock)
        session = OAuthSession(
            "https://api.example.com",
            bearer_auth("t"),
            conn_id="crm",
            clock=self.clock,
            budgets=budgets,
        )
        session.mount("https://", WithoutSockets(self.api))
        with session:
            return run_endpoint(run, session)

    def finish(self) -> tuple[EndpointSummary, int]:
        """Goes on after each suspension when its wait is over; returns the summary, and how many there were."""
        waits = 0
        while (done := self._attempt_or_wait()) is None:
            waits += 1
        return done, waits

    def _attempt_or_wait(self) -> EndpointSummary | None:
        try:
            return self.attempt()
        except PullSuspended as suspended:
            self.clock.advance(suspended.retry_after or 0.0)
            return None


class PlainStage:
    """A stage that another attempt cannot go on with."""

    def process(self, records: list[Any], page: Any) -> list[Any]:
        return records

    def finish(self, summary: Any) -> Any:
        return summary


@pytest.fixture(params=["stage", "destination"])
def unable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment in which no run can go on later."""
    if request.param == "stage":
        monkeypatch.setattr(stages, "STAGE_BUILDERS", (lambda _: PlainStage(),))
    else:
        monkeypatch.setattr(FolderDestination, "is_resumable", False)


@pytest.mark.usefixtures("unable")
def test_a_run_that_cannot_go_on_later_waits_two_minutes_where_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, busy=(2,))
    summary = bench.attempt()
    assert (summary.rows, summary.resumed) == (4, 0)
    assert sum(bench.clock.slept) == 100.0


@pytest.mark.usefixtures("unable")
def test_a_run_that_cannot_go_on_later_waits_for_a_budget_where_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.limits = (RateLimit(requests=2, per="PT100S"),)
    assert bench.attempt().rows == 4
    assert bench.api.most_within(100.0) == 2


def test_a_run_that_can_go_on_later_is_suspended_by_both_kinds_of_wait(tmp_path: Path) -> None:
    for name, busy, limits in (
        ("answer", (2,), ()),
        ("budget", (), (RateLimit(requests=2, per="PT100S"),)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        bench = Bench(folder, busy=busy)
        bench.limits = limits
        summary, waits = bench.finish()
        assert (summary.rows, summary.resumed, waits) == (4, 1, 1)
        assert bench.api.asked == [0, 1, 2, 3]


def test_a_budget_that_no_wait_opens_fails_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise BudgetWait("used up", retryable=True, retry_after=3600.0)

    bench = Bench(tmp_path)
    monkeypatch.setattr(OAuthSession, "fetch", refuse)
    for _ in range(5):
        with pytest.raises(PullSuspended):
            bench.attempt()
    with pytest.raises(BudgetWait):
        bench.attempt()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pages", "budget"),
    [(500, 100), pytest.param(50_000, 10_000, marks=[pytest.mark.full, pytest.mark.slow])],
)
def test_more_pages_than_a_day_allows_are_there_after_some_days_each_asked_for_once(
    tmp_path: Path, pages: int, budget: int
) -> None:
    bench = Bench(tmp_path, pages)
    bench.limits = (RateLimit(requests=budget, per="P1D"),)
    began = bench.clock.now()
    summary, waits = bench.finish()
    assert (summary.rows, summary.pages, summary.resumed) == (pages, pages, waits)
    assert bench.api.asked == list(range(pages))
    assert bench.api.most_within(DAY) <= budget
    assert bench.clock.now() - began < 6 * DAY
    assert waits <= 12
