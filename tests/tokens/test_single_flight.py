"""One piece of work at a time, whatever happens to the threads that asked for it."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens import single_flight
from oauth_taskflow.tokens.single_flight import Call, SingleFlight


def test_threads_that_ask_together_share_one_piece_of_work() -> None:
    calls: SingleFlight[int] = SingleFlight()
    gate, runs = threading.Event(), []

    def work() -> int:
        gate.wait(10)
        runs.append(1)
        return 7

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(calls.run, work) for _ in range(8)]
        while sum(future.running() for future in asked) < 8:
            pass
        gate.set()
        results = [future.result() for future in asked]
    assert {result for result, _ in results} == {7}
    assert sum(led for _, led in results) == len(runs)


def test_the_next_one_starts_new_work() -> None:
    calls: SingleFlight[int] = SingleFlight()
    assert [calls.run(lambda: 1), calls.run(lambda: 2)] == [(1, True), (2, True)]


def test_a_failure_reaches_every_waiting_thread_and_is_not_kept() -> None:
    calls: SingleFlight[int] = SingleFlight()

    def fail() -> int:
        raise TokenStoreError("down")

    with pytest.raises(TokenStoreError, match="down"):
        calls.run(fail)
    assert calls.run(lambda: 1) == (1, True)


def test_work_runs_in_a_separate_thread_that_the_interpreter_waits_for() -> None:
    calls: SingleFlight[threading.Thread] = SingleFlight()
    thread, _ = calls.run(threading.current_thread)
    thread.join(20)
    assert thread is not threading.current_thread()
    assert not thread.daemon
    assert not thread.is_alive()


class Interrupted(BaseException):
    """The exception of a signal handler: a task's time is up."""


def interrupt_at(event: int, work: Callable[[], object]) -> bool:
    """Do ``work`` and raise at the ``event``-th line of the calls' own code; False when that many do not come."""
    left = event

    def trace(frame: FrameType, kind: str, _: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename != single_flight.__file__:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        # Interpreters take no signal between the end of a "with" block and its exit.
        left -= kind == "line" and not line.startswith("with ")
        if left == 0:
            left = -1
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupted_caller_leaves_no_other_thread_waiting() -> None:
    calls: SingleFlight[int] = SingleFlight()
    event = 1
    while interrupt_at(event, lambda: calls.run(lambda: 1)):
        other = threading.Thread(target=calls.run, args=(lambda: 2,), daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive()
        event += 1
    assert event > 5


def test_a_forked_child_does_not_wait_for_its_parents_call() -> None:
    calls: SingleFlight[int] = SingleFlight()
    calls._join_or_start(lambda: 1)
    calls._call = Call()  # under way in the parent, never to land here
    calls._pid -= 1
    assert calls.run(lambda: 2) == (2, True)


def test_without_new_threads_the_work_is_done_by_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls: SingleFlight[int] = SingleFlight()
    assert calls.run(threading.get_ident) == (threading.get_ident(), True)
