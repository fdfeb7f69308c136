"""How many requests are in flight: grows while it pays, halves under overload, settles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.in_flight.limit import ConcurrencyLimit
from tests.api.pull.simulated_api import SimulatedApi

notes = st.one_of(
    st.tuples(st.just("answer"), st.floats(0, 2), st.integers(1, 40)),
    st.tuples(st.just("overload"), st.floats(0, 2), st.integers(0, 3)),
)


@given(st.integers(1, 32), st.lists(notes, max_size=300))
def test_the_limit_is_never_zero_and_never_above_the_most(
    most: int, events: list[tuple[str, float, int]]
) -> None:
    limit, now = ConcurrencyLimit(most), 0.0
    for kind, seconds, number in events:
        now += seconds
        before = limit.value
        if kind == "answer":
            limit.note_answer(now, seconds, number)
        else:
            limit.note_overload(now, limit.generation - number)
            assert limit.value == (before if number else max(1, before // 2))
        assert 1 <= limit.value <= most
        assert limit.value <= max(2 * before, 1)


@given(st.floats(0.005, 3.0))
def test_a_slow_api_gets_all_that_is_allowed(latency: float) -> None:
    limit, api = ConcurrencyLimit(8), SimulatedApi(lambda _: latency)
    taken = api.run(limit, 400)
    assert (limit.value, limit.halvings) == (8, 0)
    assert taken < 400 * latency / 4 + 1


def test_two_hundred_pages_at_fifty_milliseconds_take_a_fifth_of_the_time() -> None:
    assert SimulatedApi(lambda _: 0.05).run(ConcurrencyLimit(8), 200) < 200 * 0.05 / 5


@pytest.mark.parametrize("work", [0.0005, 0.0025, 0.02])
def test_work_of_this_machine_keeps_the_number_at_one_or_two(work: float) -> None:
    limit = ConcurrencyLimit(8)
    api = SimulatedApi(lambda _: 0.0, work=work)
    api.run(limit, 5_000)
    assert max(api.seen) <= 2
    assert api.seen.count(2) < len(api.seen) / 5


@given(st.integers(1, 9))
def test_an_api_that_refuses_more_than_some_at_once_is_refused_seldom(most: int) -> None:
    limit = ConcurrencyLimit(8)
    api = SimulatedApi(lambda _: 0.05, most=most)
    api.run(limit, 600)
    assert most / 2 <= limit.value <= most + 1
    assert api.refused <= 30
    assert (api.refused == 0) == (most >= 8)


def test_latency_that_rises_with_load_stops_the_growth() -> None:
    limit = ConcurrencyLimit(8)
    api = SimulatedApi(lambda n: 0.05 * max(1.0, n / 2))
    api.run(limit, 1_000)
    assert limit.value == 2
    assert api.seen.count(2) > len(api.seen) * 0.8


def test_sudden_slowness_halves_the_number_and_it_recovers() -> None:
    limit, api = ConcurrencyLimit(8), SimulatedApi(lambda _: 0.05)
    api.run(limit, 200)
    assert limit.value == 8
    api.latency = lambda n: 0.4 * n
    api.run(limit, 60)
    assert limit.value < 8
    assert limit.halvings >= 1
    api.latency = lambda _: 0.05
    api.run(limit, 4_000)
    assert limit.value >= 7


def test_one_burst_of_refusals_halves_once() -> None:
    limit, api = ConcurrencyLimit(8), SimulatedApi(lambda _: 0.05)
    api.run(limit, 200)
    generation = limit.generation
    for _ in range(8):
        limit.note_overload(api.now, generation)
    assert (limit.value, limit.halvings) == (4, 1)


def test_after_an_overload_the_number_returns_by_ones_to_just_below_it() -> None:
    limit, api = ConcurrencyLimit(8), SimulatedApi(lambda _: 0.05)
    api.run(limit, 200)
    limit.note_overload(api.now, limit.generation)
    api.seen.clear()
    api.run(limit, 300)
    assert sorted(set(api.seen)) == [4, 5, 6, 7]
    api.run(limit, 8_000)
    assert limit.value == 8


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limit, api = ConcurrencyLimit(8), SimulatedApi(lambda _: 0.05)
    api.run(limit, 500, at_once=1)
    assert max(api.seen) <= 2


def test_a_fixed_number_stays() -> None:
    limit = ConcurrencyLimit(5, start=5, is_fixed=True)
    SimulatedApi(lambda n: 0.05 * n, most=2).run(limit, 50)
    assert (limit.value, limit.halvings) == (5, 0)


def test_a_start_above_the_most_raises_it() -> None:
    limit = ConcurrencyLimit(8, start=16)
    assert (limit.value, limit.most) == (16, 16)
