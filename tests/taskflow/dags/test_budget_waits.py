"""An endpoint's task that can go on later does not hold its worker slot for a long wait at a budget."""

from __future__ import annotations

import pytest

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets, Scope
from oauth_taskflow.engine.resume import ResumeOptions, find_wait, limit_waits
from oauth_taskflow.errors import BudgetWait
from tests.budgets.memory import MemoryBudgetStore
from tests.support.clock import FakeClock

pytestmark = pytest.mark.airflow


def test_a_budget_that_is_used_up_for_long_suspends_the_pull() -> None:
    clock = FakeClock()
    store = MemoryBudgetStore(clock)
    limits = (RateLimit(requests=1, per="P1D"),)
    budgets = Budgets(lambda: store, Scope("crm", limits), clock=clock)
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
    budgets = Budgets(lambda: MemoryBudgetStore(FakeClock()), Scope("crm", ()))
    with OAuthSession("http://127.0.0.1:9", budgets=budgets) as session:
        limit_waits(session, None)
    assert budgets.longest_wait is None
