"""The gate of one process: slots in time, few questions, holds, returns and long waits."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.budgets.answer_headers import LimitHeaders
from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.slots import Ask, Charge
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import BudgetWait, TokenStoreError
from tests.budgets.memory import MemoryBudgetStore
from tests.support.clock import FakeClock

WORKERS = count()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryBudgetStore:
    return MemoryBudgetStore(clock)


def charge(requests: float, per: float, key: str = "k") -> Charge:
    return Charge(Window(key, key, requests, per))


def gate_of(
    store: MemoryBudgetStore,
    clock: FakeClock,
    requests: float = 5,
    per: float = 60.0,
    **options: Any,
) -> BudgetGate:
    """A gate of its own process."""
    options = {"worker": str(next(WORKERS)), **options}
    return BudgetGate(store, [charge(requests, per)], clock=clock, where="at crm", **options)


def most_in_a_window(starts: list[float], period: float) -> int:
    return max(sum(begin <= other < begin + period - 1e-6 for other in starts) for begin in starts)


@given(st.integers(1, 5), st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_no_window_of_the_period_holds_more_than_the_budget(
    requests: int, gaps: list[float]
) -> None:
    clock = FakeClock()
    gate = gate_of(MemoryBudgetStore(clock), clock, requests, 2.0)
    starts = []
    for gap in gaps:
        clock.advance(gap)
        gate.acquire()
        starts.append(clock.monotonic())
    assert most_in_a_window(starts, 2.0) <= requests


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1.5)), min_size=1, max_size=60),
    st.floats(-500, 500),
)
def test_several_processes_keep_to_one_budget_and_to_a_question_a_second(
    requests: int, turns: list[tuple[int, float]], ahead: float
) -> None:
    clock = FakeClock()
    store = MemoryBudgetStore(clock, ahead)  # the database's clock differs from this machine's
    gates = [gate_of(store, clock, requests, 1.0) for _ in range(4)]
    starts = []
    for process, gap in turns:
        clock.advance(gap)
        gates[process].acquire()
        starts.append(clock.monotonic())
    assert most_in_a_window(starts, 1.0) <= requests
    assert len(store.questions) <= len(gates) * (clock.monotonic() + 1)


def test_requests_within_the_budget_do_not_wait(store: MemoryBudgetStore, clock: FakeClock) -> None:
    gate = gate_of(store, clock, 3)
    for _ in range(3):
        gate.acquire()
    assert clock.slept == []
    assert len(store.questions) == 1
    assert gate.acquire().waited == pytest.approx(sum(clock.slept))
    assert 60.0 <= sum(clock.slept) <= 64.0


def test_keys_have_separate_budgets(store: MemoryBudgetStore, clock: FakeClock) -> None:
    gates = [BudgetGate(store, [charge(1, 60.0, key)], clock=clock) for key in ("a", "b")]
    for gate in gates:
        gate.acquire()
    assert clock.slept == []
    gates[0].acquire()
    assert sum(clock.slept) >= 60.0


def test_a_hold_delays_all_processes_with_the_same_budget(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate_of(store, clock).hold(30.0)
    gate_of(store, clock).hold(10.0)
    gate_of(store, clock).acquire()
    assert sum(clock.slept) == pytest.approx(30.0, abs=0.01)


def test_a_hold_that_comes_while_waiting_lengthens_the_wait() -> None:
    class Held(FakeClock):
        def sleep(self, seconds: float) -> None:
            if not self.slept:
                gate_of(own, self, 1, 10.0).hold(50.0)
            super().sleep(seconds)

    clock = Held()
    own = MemoryBudgetStore(clock)
    gate = gate_of(own, clock, 1, 10.0)
    gate.acquire()
    gate.acquire()
    assert clock.monotonic() == pytest.approx(50.0, abs=0.1)


def test_a_killed_process_loses_what_it_took_and_no_more_is_sent(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate_of(store, clock, 5, 60.0).acquire()  # it takes all five, and is killed
    gate_of(store, clock, 5, 60.0).acquire()
    assert sum(clock.slept) >= 59.0


def test_what_was_not_used_is_given_back_at_the_end(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 5, 60.0)
    gate.acquire()
    gate.give_back()
    other = gate_of(store, clock, 5, 60.0)
    for _ in range(4):
        other.acquire()
    assert sum(clock.slept) < 2.0


def test_a_forked_child_does_not_spend_what_its_parent_was_given(
    store: MemoryBudgetStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_of(store, clock, 5, 60.0)
    gate.acquire()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    gate.give_back()  # the parent's slots are not the child's to return
    gate.acquire()
    assert sum(clock.slept) >= 59.0


def test_a_wait_that_is_too_long_is_an_error_with_its_end(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 1, 3600.0, longest_wait=60.0)
    gate.acquire()
    for _ in range(2):
        with pytest.raises(BudgetWait) as caught:
            gate.acquire()
        assert caught.value.until - clock.now() == pytest.approx(3600, abs=120)
        assert caught.value.retry_after == pytest.approx(caught.value.until - clock.now())
        assert caught.value.retryable
    assert sum(clock.slept) <= 1.0
    clock.advance(3720)
    gate.acquire()
    assert str(caught.value) == (
        "The request budget is used up until 2027-01-15T09:01:52Z at crm. Let a retry of the task wait until then: "
        "OAuthRetryPolicy plans it, and no worker slot is held."
    )


def test_the_end_of_a_used_up_limit_is_read_from_an_answer(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 100, 1.0)
    gate.acquire()
    gate.observe({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "40"})
    gate.observe({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "year 9999"})
    assert len(store.questions) == 1
    for _ in range(3):  # threads report the same news
        gate.observe({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "40"})
    assert len(store.questions) == 2
    gate_of(store, clock, 100, 1.0).acquire()
    assert sum(clock.slept) == pytest.approx(40.0, abs=0.1)


def test_named_headers_hold_their_own_budget_alone(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    daily = (LimitHeaders("X-Daily-Left", "X-Daily-Reset"), frozenset({"day"}))
    both = [charge(10, 1.0, "second"), charge(100, 86_400.0, "day")]
    gate = BudgetGate(store, both, headers=[daily], clock=clock)
    gate.observe({"X-Daily-Left": "0", "X-Daily-Reset": "500"})
    BudgetGate(store, both[:1], clock=clock).acquire()
    assert clock.slept == []
    gate.acquire()
    assert sum(clock.slept) == pytest.approx(500, abs=0.1)


def test_a_store_that_fails_fails_the_request_and_nothing_is_counted_as_returned(
    store: MemoryBudgetStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(MemoryBudgetStore):
        fails = False

        def ask(self, question: Ask) -> Any:
            if self.fails:
                raise TokenStoreError("The token store failed")
            return super().ask(question)

    failing = Failing(clock)
    gate = gate_of(failing, clock, 5, 60.0)
    gate.acquire()
    failing.fails = True
    with caplog.at_level("INFO"):
        gate.give_back()
    assert "not returned: The token store failed." in caplog.text
    with pytest.raises(TokenStoreError):
        gate_of(failing, clock).acquire()


def test_a_gate_names_its_budgets(store: MemoryBudgetStore, clock: FakeClock) -> None:
    assert repr(gate_of(store, clock)) == "BudgetGate(k)"


def test_small_pulls_of_one_process_do_not_wait_and_ask_once(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 60, 60.0)
    for _ in range(4):  # endpoints, each with three pages that take 50 ms
        for _ in range(3):
            gate.acquire()
            clock.advance(0.05)
    assert clock.slept == []
    assert len(store.questions) == 1


def test_slots_that_nobody_uses_are_returned_after_two_seconds(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    later: list[float] = []
    gate = gate_of(store, clock, 5, 60.0, later=lambda _, seconds: later.append(seconds))
    gate.acquire()
    assert later == [2.0]
    clock.advance(1.5)
    assert gate.give_back(idle_for=2.0) == pytest.approx(1.0)  # another try, a second later
    clock.advance(1.0)
    assert gate.give_back(idle_for=2.0) == 0.0
    other = gate_of(store, clock, 5, 60.0)
    for _ in range(4):
        other.acquire()
    assert clock.slept == []
    assert gate.give_back() == other.give_back() == 0.0


@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 1.5), st.floats(0, 0.3), st.booleans()),
        min_size=1,
        max_size=60,
    ),
)
def test_requests_that_are_written_late_keep_to_the_budget_at_a_question_a_second(
    requests: int, turns: list[tuple[int, float, float, bool]]
) -> None:
    clock = FakeClock()
    store = MemoryBudgetStore(clock)
    gates = [gate_of(store, clock, requests, 1.0) for _ in range(4)]
    written, began = [], clock.monotonic()
    for process, gap, connecting, ends in turns:
        clock.advance(gap)
        permit = gates[process].acquire()
        clock.advance(connecting)  # the slot may pass before the request is written
        permit.confirm()
        written.append(clock.monotonic())
        if ends:
            gates[process].give_back(idle_for=2.0)
    assert most_in_a_window(written, 1.0) <= requests
    assert len(store.questions) <= len(gates) * (clock.monotonic() - began + 1)


def test_a_hold_that_comes_between_slot_and_writing_is_kept(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 50, 60.0)
    permit = gate.acquire()
    gate.hold(30.0)
    assert permit.confirm() == pytest.approx(30.0, abs=0.1)


def test_slow_writing_leaves_the_end_of_each_slot_free(
    store: MemoryBudgetStore, clock: FakeClock
) -> None:
    gate = gate_of(store, clock, 50, 60.0)
    permit = gate.acquire()
    gate.learn_delay(0.5)
    end = store.last_slot_end()
    clock.advance(end - clock.now() - 0.4)
    assert not permit.is_current()
    permit = gate.acquire()
    assert permit.is_current()


def test_an_answer_that_takes_long_to_come_back_gives_no_slot_that_has_passed() -> None:
    class Slow(MemoryBudgetStore):
        def ask(self, question: Ask) -> Any:
            reading = super().ask(question)
            moved.advance(0.2)  # longer than a slot
            return reading

    moved = FakeClock()
    began, gate = moved.monotonic(), gate_of(Slow(moved), moved, 5, 1.0)
    for _ in range(10):
        gate.acquire()
    assert moved.monotonic() - began < 10.0


@pytest.mark.slow
def test_leftovers_are_returned_by_a_timer() -> None:
    store = MemoryBudgetStore(SYSTEM_CLOCK)
    gate = BudgetGate(store, [charge(60, 60.0)])
    gate.acquire()
    deadline = time.monotonic() + 30
    while len(store.questions) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert store.questions[1].returned[0].count == 16
