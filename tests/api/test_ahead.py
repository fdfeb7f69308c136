"""Reading ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.ahead import read_ahead

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
def test_no_more_is_read_ahead_than_there_is_room_for(room: int) -> None:
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
    assert full.wait(5)
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

    before = threading.active_count()
    ahead = read_ahead(items(), 1)
    next(ahead)
    ahead.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_the_thread_sees_the_callers_context() -> None:
    def items() -> Iterator[str]:
        yield setting.get()

    token = setting.set("the caller's")
    try:
        assert list(read_ahead(items(), 1)) == ["the caller's"]
    finally:
        setting.reset(token)
