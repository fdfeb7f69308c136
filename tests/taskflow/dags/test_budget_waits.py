"""An endpoint's task that can go on later does not hold its worker slot for a long wait at a budget."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.engine.resume import PullSuspended, ResumeOptions, find_wait, limit_waits
from oauth_taskflow.errors import BudgetWait
from oauth_taskflow.taskflow.dags.suspension import free_slot
from tests.budgets.memory import MemoryBudgetStore
from tests.support.clock import FakeClock

pytestmark = pytest.mark.airflow


def test_a_budget_that_is_used_up_for_long_suspends_the_pull() -> None:
    clock = FakeClock()
    store = MemoryBudgetStore(clock)
    limits = (RateLimit(requests=1, per="P1D"),)
    budgets = Budgets(lambda: store, BudgetSet("crm", limits), clock=clock)
    with OAuthSession("http://127.0.0.1:9", budgets=budgets) as session:
        limit_waits(session, ResumeOptions())
        gate = budgets.find_gate("/")
        assert gate is not None
        gate.acquire()
        with pytest.raises(BudgetWait) as caught:
            gate.acquire()
    wait = find_wait(caught.value, ResumeOptions().longest_wait)
    assert wait is not None
    assert 86_000 < wait < 90_000


def test_a_task_that_cannot_go_on_later_waits_as_before() -> None:
    budgets = Budgets(lambda: MemoryBudgetStore(FakeClock()), BudgetSet("crm", ()))
    with OAuthSession("http://127.0.0.1:9", budgets=budgets) as session:
        limit_waits(session, None)
    assert budgets.longest_wait is None


@pytest.mark.parametrize(("wait", "free"), [(3600.0, 3600.0), (2.0, 20.0)])
def test_a_slot_is_free_until_the_wait_is_over_and_long_enough_for_the_scheduler(
    wait: float, free: float
) -> None:
    began = datetime.now(tz=timezone.utc)
    with (
        pytest.raises(AirflowRescheduleException) as caught,
        free_slot("rows", logging.getLogger(__name__)),
    ):
        raise PullSuspended("busy", retry_after=wait)
    late = caught.value.reschedule_date - began - timedelta(seconds=free)
    assert timedelta(0) <= late < timedelta(seconds=10)


@pytest.mark.parametrize(("days", "level"), [(1, logging.INFO), (31, logging.WARNING)])
def test_a_wait_of_many_days_is_a_warning_with_its_date(
    days: int, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with (
        pytest.raises(AirflowRescheduleException) as caught,
        free_slot("rows", logging.getLogger(__name__)),
    ):
        raise PullSuspended("busy", retry_after=days * 86_400.0)
    until = caught.value.reschedule_date.isoformat(timespec="seconds")
    line = (__name__, level, f"rows: the worker slot is free until {until}")
    assert line in caplog.record_tuples
