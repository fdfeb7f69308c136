"""Reading ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.in_flight.prefetch import read_ahead, read_several_ahead

setting: ContextVar[str] = ContextVar("setting", default="unset")


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4))
def test_items_come_through_in_order(items: list[int], room: int) -> None:
    assert list(read_ahead(iter(items), room)) == items


def test_nothing_is_read_before_it_is_asked_for() -> None:
    started: list[int] = []

    def items() -> Iterator[int]:
        started.append(1)
        yield 1

    ahead = read_ahead(items(), 1)
    assert started == []
    assert list(ahead) == [1]


@pytest.mark.parametrize("room", [1, 3])
def test_at_most_room_items_are_read_ahead(room: int) -> None:
    made: list[int] = []
    full = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            if number == room + 1:
                full.set()
            yield number

    ahead = read_ahead(items(), room)
    assert next(ahead) == 0
    assert full.wait(120)
    # One consumed, `room` waiting, one in the maker's hands.
    assert len(made) == room + 2
    assert list(ahead) == list(range(1, 20))


def test_an_exception_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("broken")

    ahead = read_ahead(items(), 2)
    assert next(ahead) == 1
    with pytest.raises(LookupError, match="broken"):
        next(ahead)


def test_stopping_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = set(threading.enumerate())
    ahead = read_ahead(items(), 1)
    next(ahead)
    ahead.close()
    assert closed.is_set()
    assert set(threading.enumerate()) <= before


def test_the_thread_sees_the_callers_context() -> None:
    def items() -> Iterator[str]:
        yield setting.get()

    token = setting.set("the caller's")
    try:
        assert list(read_ahead(items(), 1)) == ["the caller's"]
    finally:
        setting.reset(token)


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=8), st.integers(1, 5))
def test_several_sources_come_through_in_order_with_their_tags(
    sources: list[list[int]], width: int
) -> None:
    tagged = ((number, iter(source)) for number, source in enumerate(sources))
    found = [(number, list(items)) for number, items in read_several_ahead(tagged, width)]
    assert found == list(enumerate(sources))


def test_at_most_width_sources_are_read_at_once() -> None:
    begun: list[int] = []
    all_three = threading.Barrier(4, timeout=120)

    def source(number: int) -> Iterator[int]:
        begun.append(number)
        if number < 3:
            all_three.wait()
        yield number

    several = read_several_ahead(((n, source(n)) for n in range(5)), 3)
    waiting = threading.Thread(target=lambda: next(several))
    waiting.start()
    all_three.wait()
    waiting.join()
    assert sorted(begun) == [0, 1, 2]
    assert [number for number, items in several for _ in items] == [1, 2, 3, 4]


def test_an_exception_of_a_later_source_waits_for_its_place() -> None:
    raised = threading.Event()

    def broken() -> Iterator[int]:
        yield from ()
        raised.set()
        raise LookupError("broken")

    several = read_several_ahead([("good", iter([1, 2])), ("broken", broken())], 2)
    _, items = next(several)
    assert raised.wait(120)
    assert list(items) == [1, 2]
    with pytest.raises(LookupError, match="broken"):
        list(next(several)[1])


def test_stopping_early_closes_all_sources() -> None:
    closed: list[int] = []

    def source(number: int) -> Iterator[int]:
        try:
            while True:
                yield number
        finally:
            closed.append(number)

    before = set(threading.enumerate())
    several = read_several_ahead(((n, source(n)) for n in range(9)), 3)
    next(several)
    several.close()
    assert sorted(closed) == [0, 1, 2]
    assert set(threading.enumerate()) <= before
