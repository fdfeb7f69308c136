"""Many processes, real databases and a server that counts: never more than the budget, and each gets its share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.budgets.crowd import (
    counting_api,
    end_workers,
    most_in_any,
    read_sent,
    start_worker,
)

pytestmark = pytest.mark.slow


@pytest.fixture(
    params=[
        *("sqlite", "postgres", "mariadb"),
        pytest.param("transaction_pool", marks=[pytest.mark.full, pytest.mark.postgres]),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'budgets.db'}"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.full)])
def test_many_processes_never_send_more_than_five_requests_in_any_second(
    url: str, tmp_path: Path, count: int
) -> None:
    with counting_api() as api:
        workers = [
            start_worker(api.url, url, f"w{number}", tmp_path, "5/PT1S", seconds=600.0)
            for number in range(count)
        ]
        api.wait_until(lambda: len(api.came) >= 50 and len(api.workers()) == count)
        assert end_workers(tmp_path, workers) == [0] * count
    assert most_in_any(read_sent(tmp_path), 1.0) <= 5
    assert len(api.came) == len(read_sent(tmp_path)) >= 50


def test_processes_that_are_killed_leave_no_more_to_the_others_than_the_budget(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'budgets.db'}"
    limits = ("10/PT1S", "60/PT10S")
    with counting_api() as api:
        workers: list[subprocess.Popen[bytes]] = []
        for number in range(6):
            workers.append(
                start_worker(
                    api.url, url, f"w{number}", tmp_path, *limits, seconds=300.0, threads=4
                )
            )
            api.wait_for(f"w{number}")
            if number % 2:
                workers[-2].kill()  # it holds slots that it will never use
        seen = len(api.came)
        api.wait_for_more(20)
        for worker in workers:
            worker.kill()
            worker.wait()
    assert len(api.came) >= seen + 20
    sent = read_sent(tmp_path)
    assert (most_in_any(sent, 1.0) <= 10, most_in_any(sent, 10.0) <= 60) == (True, True)


def test_two_budgets_hold_at_once_for_the_threads_of_two_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'budgets.db'}"
    with counting_api() as api:
        limits = ("20/PT1S", "50/PT5S")
        workers = [
            start_worker(api.url, url, f"w{n}", tmp_path, *limits, seconds=600.0, threads=8)
            for n in range(2)
        ]
        api.wait_until(lambda: len(api.came) >= 100 and api.most_in_any(5.0) >= 25)
        assert end_workers(tmp_path, workers) == [0, 0]
    sent = read_sent(tmp_path)
    assert most_in_any(sent, 1.0) <= 20
    assert most_in_any(sent, 5.0) <= 50
