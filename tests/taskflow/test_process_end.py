"""Airflow ends a task's process as soon as the task is over; a refresh that is on its way is finished first."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import pytest
from sqlalchemy.engine import make_url

from oauth_taskflow.errors import LeaseTimeout
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.refresh import exit_wait
from tests.tokens.conftest import KEY
from tests.tokens.worker import Plan, exit_code, start

# The answer is under way for so long (seconds); a task that does not wait for it is over in a few milliseconds.
_LATENCY = 0.7


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer(grace=0, latency=_LATENCY, token_lifetime=600.0) as server:
        yield server


def _as_airflow_ends(task: Callable[[Plan], None], plan: Plan, _: Connection) -> None:
    """Do ``task`` in this process as Airflow's supervisor does."""
    os.environ["AIRFLOW_HOME"] = str(Path(str(make_url(plan.store_url).database)).parent)
    from airflow.sdk.execution_time.supervisor import _fork_main  # noqa: PLC0415 - needs its home first

    requests, out, err = (socket.socketpair() for _ in range(3))
    _fork_main(requests[1], out[1], err[1], 0, lambda: task(plan))


def _status(task: Callable[[Plan], None], plan: Plan) -> int:
    """The exit status of a task's process."""
    return exit_code(start(partial(_as_airflow_ends, task), plan)[0])


def _is_over_while_the_next_token_is_fetched(plan: Plan) -> None:
    manager = plan.manager()
    manager._leeway_share = 10.0  # stale at once, and good for ten minutes
    first = manager.token()
    while _refreshing():
        time.sleep(0.005)
    assert manager.token() == first
    while not exit_wait._Refreshes.under_way:
        manager.token()
        time.sleep(0.005)


def _refreshing() -> bool:
    return any(thread.name == "oauth-refresh" for thread in threading.enumerate())


def _time_is_up(plan: Plan) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout  # noqa: PLC0415 - needs its home first
    from airflow.sdk.execution_time.timeout import TimeoutPosix  # noqa: PLC0415 - as above

    manager = plan.manager()
    try:
        with TimeoutPosix(60):  # type: ignore[no-untyped-call]  # Airflow's
            manager.token()
    except AirflowTaskTimeout:
        return
    raise AssertionError("the refresh was over before the task's time was up")


def _goes_on(plan: Plan, server: OAuthTestServer) -> None:
    """The next task has a refresh that works."""
    server.faults.latency = 0.0
    manager = plan.manager()
    token = manager.token()
    assert manager.replace_refused(token.access_token) != token
    assert (server.counters.reuse_detected, server.counters.revoked_families) == (0, 0)


def test_a_task_that_is_timed_out_in_the_middle_of_a_refresh_loses_no_refresh_token(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tokens.db"
    plan = Plan.for_server(server, url, KEY, die_at=Step.ANSWERED, signal=signal.SIGALRM)
    assert _status(_time_is_up, plan) == 0
    assert server.counters.token_requests == 1
    _goes_on(replace(plan, die_at=None), server)


def test_a_task_that_ends_while_the_next_token_is_fetched_loses_no_refresh_token(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    plan = Plan.for_server(server, f"sqlite:///{tmp_path}/tokens.db", KEY)
    assert _status(_is_over_while_the_next_token_is_fetched, plan) == 0
    assert server.counters.token_requests >= 2
    _goes_on(plan, server)


def test_a_process_that_ends_waits_for_running_refreshes_and_starts_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exit_wait._Refreshes, "too_late", set())
    begun, ended, reported = threading.Event(), threading.Event(), SimpleQueue[str]()

    def refresh_twice() -> None:
        with exit_wait.hold_process_exit():
            begun.set()
            ended.wait(10)
            reported.put("finished")
        try:
            with exit_wait.hold_process_exit():
                reported.put("begun again")
        except LeaseTimeout as refusal:
            reported.put(str(refusal))

    thread = threading.Thread(target=refresh_twice)
    thread.start()
    begun.wait(10)
    threading.Timer(0.05, ended.set).start()
    exit_wait._wait()
    assert reported.get(timeout=10) == "finished"
    assert reported.get(timeout=10) == (
        "No refresh begins any more, because this process is ending."
    )
    thread.join(10)
    with exit_wait.hold_process_exit():  # an exit handler that runs later may
        assert exit_wait._Refreshes.under_way
