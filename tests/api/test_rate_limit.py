"""The request budget: across threads, processes and waits."""

from __future__ import annotations

import multiprocessing
import os
import stat
import tempfile
import threading
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import PageNumberPaginator, RateLimit, Records, ResponseRule
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.rate_limit import RateLimiter, budget_folder
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import ApiError
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, FakeClock, Reply


@pytest.fixture(autouse=True)
def own_budgets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def most_in_a_window(starts: list[float], period: float) -> int:
    return max(sum(begin <= other < begin + period - 1e-6 for other in starts) for begin in starts)


@given(st.integers(1, 5), st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_no_window_of_the_period_holds_more_than_the_budget(
    requests: int, gaps: list[float]
) -> None:
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        limiter = RateLimiter(requests, 2.0, "k", clock=clock, folder=Path(folder))
        starts = []
        for gap in gaps:
            clock.time += gap
            limiter.acquire()
            starts.append(clock.time)
    assert most_in_a_window(starts, 2.0) <= requests


def test_requests_within_the_budget_do_not_wait(clock: FakeClock) -> None:
    limiter = RateLimiter(3, 60.0, "k", clock=clock)
    for _ in range(3):
        limiter.acquire()
    assert clock.slept == []
    limiter.acquire()
    assert clock.slept == [60.0]


def test_keys_have_separate_budgets(clock: FakeClock) -> None:
    for key in ("a", "b"):
        RateLimiter(1, 60.0, key, clock=clock).acquire()
    assert clock.slept == []
    RateLimiter(1, 60.0, "a", clock=clock).acquire()
    assert clock.slept == [60.0]


def test_a_hold_delays_all_processes_with_the_same_budget(clock: FakeClock) -> None:
    RateLimiter(5, 1.0, "k", clock=clock).hold(30.0)
    RateLimiter(5, 1.0, "k", clock=clock).hold(10.0)
    RateLimiter(5, 1.0, "k", clock=clock).acquire()
    assert clock.slept == [30.0]


def test_a_hold_that_comes_while_waiting_lengthens_the_wait() -> None:
    class Held(FakeClock):
        def sleep(self, seconds: float) -> None:
            if not self.slept:
                limiter.hold(50.0)
            super().sleep(seconds)

    clock = Held()
    limiter = RateLimiter(1, 10.0, "k", clock=clock)
    limiter.acquire()
    limiter.acquire()
    assert clock.slept == [10.0, pytest.approx(40.0)]


Taken = tuple[float, float]


def _take(folder: str, together: Barrier, queue: multiprocessing.Queue[Taken]) -> None:
    limiter = RateLimiter(4, 0.2, "k", folder=Path(folder))
    together.wait(30)
    for _ in range(5):
        asked = time.time()
        limiter.acquire()
        queue.put((asked, time.time()))


@pytest.mark.slow
def test_processes_and_threads_of_one_machine_share_the_budget(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[Taken] = context.Queue()
    work: dict[str, Any] = {"target": _take, "args": (str(tmp_path), context.Barrier(4), queue)}
    workers: list[Any] = [context.Process(**work) for _ in range(2)]
    workers += [threading.Thread(**work) for _ in range(2)]
    for worker in workers:
        worker.start()
    taken = [queue.get(timeout=30) for _ in range(20)]
    for worker in workers:
        worker.join()
    # Twenty requests at four per 0.2 s need four periods; what wakes late only spreads them further.
    assert max(start for _, start in taken) - min(asked for asked, _ in taken) >= 0.8


def test_the_folder_is_this_users_alone() -> None:
    mode = budget_folder().stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"oauth_taskflow-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ApiError, match="belongs to another user"):
        budget_folder()


@pytest.mark.slow
def test_a_pull_keeps_to_its_budget(serve: Serve, connect: Connect) -> None:
    starts: list[float] = []

    def route(asked: Asked) -> object:
        starts.append(time.time())
        page = int(asked.query["page"])
        return {"items": [{"id": page}] if page < 6 else []}

    began = time.time()
    pages = pull(
        connect(serve(route)),
        ApiRequest("/"),
        paginate=PageNumberPaginator(prefetch=3),
        records=Records(path="items"),
        rate_limit=RateLimit(requests=2, per="PT0.1S"),
        limit_key="crm/items",
    )
    assert sum(page.count for page in pages) == 5
    # The sixth request starts two periods after the first was allowed. When that one arrives is the machine's affair.
    assert max(starts) - began >= 0.2


def test_a_rate_limit_rule_holds_the_budget(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = serve(lambda _: Reply({}, 418) if len(api.asked) == 1 else [])
    pages = pull(
        connect(api),
        ApiRequest("/"),
        responses=[ResponseRule(status=418, action="rate_limit", wait="PT0.05S")],
        rate_limit=RateLimit(requests=100, per="PT1S"),
        limit_key="held",
    )
    began = time.time()
    assert [page.count for page in pages] == [0]
    # The session's clock is a fake one, so only the budget's hold takes real time.
    assert (time.time() - began >= 0.04, clock.slept) == (True, [0.05])
