"""The decisions about slots, against a model that sends each request at the worst instant of its slot."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oauth_taskflow.budgets.ledger import Ledger, Window
from oauth_taskflow.budgets.slots import Ask, Charge, Grant, Slot, grant_slots

START = 1_800_000_000.0
PERIODS = (0.1, 1.0, 10.0, 60.0, 86_400.0)
COSTS = st.sampled_from([1.0, 1.0, 2.5])
CHARGES = st.lists(
    st.builds(
        lambda per, requests, cost: (per, requests, cost),
        st.sampled_from(PERIODS),
        st.integers(3, 40),
        COSTS,
    ),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(
    st.tuples(
        st.floats(0, 3),  # seconds until this question
        st.integers(0, 4),  # the worker
        st.integers(1, 5),  # requests that wait
        st.integers(0, 50),  # requests to come
        st.sampled_from(["none", "some", "all"]),  # what it returns of its last grant
    ),
    min_size=1,
    max_size=40,
)


def window(requests: float = 5, per: float = 1.0, key: str = "k") -> Window:
    return Window(key, key, requests, per)


def charge(requests: float = 5, per: float = 1.0, cost: float = 1.0) -> Charge:
    return Charge(window(requests, per, f"{requests}/{per}"), cost)


def most_in_a_window(slots: Sequence[Slot], period: float) -> int:
    """The most requests in any period, if each is sent at the worst instant of its slot."""
    return max(
        sum(
            other.count
            for other in slots
            if other.end > slot.end - 1e-9 and other.start < slot.end + period
        )
        for slot in slots
    )


@given(CHARGES, STEPS)
def test_no_period_of_any_budget_holds_more_than_the_budget_wherever_in_its_slot_a_request_is_sent(
    limits: list[tuple[float, int, float]], steps: list[tuple[float, int, int, int, str]]
) -> None:
    charges = tuple(
        Charge(Window(str(number), "", requests, per), cost)
        for number, (per, requests, cost) in enumerate(limits)
    )
    ledgers = [Ledger() for _ in charges]
    given_out: list[Slot] = []
    held: dict[int, list[Slot]] = {}
    now = START
    for gap, worker, demand, spare, returns in steps:
        now += gap
        own = held.pop(worker, [])
        back = {"none": [], "some": own[:1], "all": own}[returns]
        for slot in back:
            given_out.remove(slot)
        ask = Ask(charges, str(worker), demand, spare, returned=tuple(back))
        ledgers = [Ledger.decode(ledger.encode()) for ledger in ledgers]
        grant = grant_slots(ask, ledgers, now)
        assert sum(slot.count for slot in grant.slots) >= demand or grant.next_free is not None
        assert all(slot.start >= now for slot in grant.slots)
        held[worker] = [replace(slot) for slot in grant.slots]
        given_out += held[worker]
    for limit in charges if given_out else ():
        assert most_in_a_window(given_out, limit.window.per) * limit.cost <= limit.window.requests


def ask_until_served(
    asks: Sequence[str], limit: Charge, demand: int = 1, spare: int = 0
) -> list[tuple[str, Grant]]:
    """The grants of workers that ask at the same instant, in order."""
    ledger = Ledger()
    return [
        (worker, grant_slots(Ask((limit,), worker, demand, spare), [ledger], START))
        for worker in asks
    ]


def test_the_first_requests_of_a_budget_need_not_wait() -> None:
    grant = grant_slots(Ask((charge(3, 60.0),), "w", 3), [Ledger()], START)
    assert [(slot.start, slot.count) for slot in grant.slots] == [(START, 3)]


def test_workers_that_ask_for_more_than_there_is_are_served_in_turn() -> None:
    grants = ask_until_served([f"w{number}" for number in range(20)], charge(5, 1.0))
    starts = [grant.slots[0].start - START for _, grant in grants]
    assert starts == sorted(starts)
    # Five at once, and the last five of twenty three periods later.
    assert starts[4] == 0.0
    assert starts[19] == pytest.approx(3 * 1.15, abs=0.2)


def test_a_worker_alone_uses_nearly_the_whole_budget() -> None:
    ledger, now, sent = Ledger(), START, 0
    while now < START + 60:
        grant = grant_slots(Ask((charge(100, 1.0),), "w", 1, 1000), [ledger], now)
        sent += sum(slot.count for slot in grant.slots if slot.start < START + 60)
        now += 1.0
    assert 100 * 60 * 0.84 <= sent <= 100 * 61


def test_spare_slots_are_spread_over_the_coming_second() -> None:
    grant = grant_slots(Ask((charge(1000, 1.0),), "w", 1, 1000), [Ledger()], START)
    assert sum(slot.count for slot in grant.slots) >= 800
    assert max(slot.count for slot in grant.slots) <= 60


def test_a_worker_takes_little_of_a_long_budget_ahead() -> None:
    grant = grant_slots(Ask((charge(10_000, 86_400.0),), "w", 1, 10_000), [Ledger()], START)
    assert sum(slot.count for slot in grant.slots) == 313


def test_what_is_returned_is_given_to_the_next_worker() -> None:
    ledger, limit = Ledger(), charge(5, 60.0)
    grant = grant_slots(Ask((limit,), "a", 5), [ledger], START)
    taken = replace(grant.slots[0], count=3)
    back = Ask((limit,), "a", 0, returned=(taken,))
    grant_slots(back, [ledger], START + 0.5)
    later = grant_slots(Ask((limit,), "b", 4), [ledger], START + 0.6)
    assert [(slot.count, slot.start > START + 50) for slot in later.slots] == [
        (3, False),
        (1, True),
    ]


def test_a_hold_delays_every_worker_and_the_longer_one_counts() -> None:
    ledger, limit = Ledger(), charge(5, 1.0)
    for seconds in (30.0, 10.0):
        hold = (frozenset({limit.window.key}), seconds)
        grant_slots(Ask((limit,), "a", 0, hold=hold), [ledger], START)
    grant = grant_slots(Ask((limit,), "b", 1), [ledger], START)
    assert grant.slots[0].start == pytest.approx(START + 30)


def test_a_slot_that_is_too_far_away_is_not_given_but_named() -> None:
    ledger, limit = Ledger(), charge(2, 3600.0)
    grant_slots(Ask((limit,), "a", 2), [ledger], START)
    grant = grant_slots(Ask((limit,), "b", 1, latest=60.0), [ledger], START + 1)
    assert grant.slots == ()
    assert grant.next_free == pytest.approx(START + 3600, rel=0, abs=120)


def test_all_budgets_hold_at_once() -> None:
    minute, day = charge(60, 60.0), charge(100, 86_400.0)
    ledgers = [Ledger(), Ledger()]
    sent, now = 0, START
    for _ in range(10):
        grant = grant_slots(Ask((minute, day), "w", 60, latest=60.0), ledgers, now)
        sent += sum(slot.count for slot in grant.slots)
        now += 70.0
    assert sent == 100
    assert grant.next_free is not None
    assert grant.next_free > START + 86_400


def test_a_clock_that_jumps_back_gives_no_more_and_one_that_was_years_ahead_blocks_nothing() -> (
    None
):
    ledger, limit = Ledger(), charge(5, 1.0)
    grant_slots(Ask((limit,), "w", 5), [ledger], START)
    back = grant_slots(Ask((limit,), "w", 1), [ledger], START - 0.5)
    assert back.slots[0].start >= START + 1 or back.slots[0].start < START - 1
    year = grant_slots(Ask((limit,), "w", 5), [ledger], START + 3e7)
    assert year.slots[0].start == START + 3e7
    assert grant_slots(Ask((limit,), "w", 1), [ledger], START).slots[0].start < START + 10


@pytest.mark.no_cover
@pytest.mark.slow
def test_a_ledger_stays_small_however_many_requests_are_sent() -> None:
    chance, ledger, now = random.Random(1), Ledger(), START
    for number in range(2000):
        grant_slots(Ask((charge(1000, 1.0),), f"w{number % 50}", 3, 100), [ledger], now)
        now += chance.random()
    assert len(ledger.encode()) < 10_000
