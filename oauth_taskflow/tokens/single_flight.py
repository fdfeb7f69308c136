"""Runs one piece of work at a time, however many threads ask for its result."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from oauth_taskflow.errors import OAuthTaskflowError

T = TypeVar("T")


class Call(Generic[T]):
    """One piece of work that is under way. Waiting threads are released one at a time.

    A condition, which a future waits by, releases all at once. A thousand threads then fight for it and the interpreter
    for up to a second, where a queue takes a tenth.
    """

    def __init__(self) -> None:
        self._is_finished = False
        self._result: T | None = None
        self._failure: BaseException | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def finish(self, result: T | None = None, failure: BaseException | None = None) -> None:
        """Release all waiting threads with ``result``, or with ``failure`` if there is one. Called once."""
        self._result, self._failure, self._is_finished = result, failure, True
        self._gate.release()

    def result(self) -> T:
        """The result of the work; raises its error."""
        if not self._is_finished:
            with self._gate:
                pass
        if self._failure is not None:
            raise self._failure
        return cast("T", self._result)


class SingleFlight(Generic[T]):
    """Runs work in a separate thread and hands the result to every thread that asked meanwhile.

    The thread is not a daemon and ends with the work, and the interpreter waits for it before it exits. So a task that is
    timed out or interrupted while a refresh token is on its way does not lose the answer. A waiting thread may be
    interrupted at any point, by a signal handler that raises, without leaving another one waiting. Usable after a fork: a
    child starts without calls. ``name`` is that of the thread.
    """

    def __init__(self, name: str = "oauth-refresh") -> None:
        self._name = name
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._call: Call[T] | None = None

    def run(self, work: Callable[[], T]) -> tuple[T, bool]:
        """The result of ``work``, or of the call that was already under way, and whether it was ours."""
        call, led = self._join_or_start(work)
        try:
            return call.result(), led
        except OAuthTaskflowError as failure:
            # Each thread raises a separate copy: a shared one would collect every thread's traceback.
            raise copy.copy(failure) from failure.__cause__

    def start(self, work: Callable[[], T]) -> None:
        """Start ``work`` and return at once, unless a call is under way. The work reports its own failure."""
        self._join_or_start(work)

    def _join_or_start(self, work: Callable[[], T]) -> tuple[Call[T], bool]:
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            if self._call is not None:
                return self._call, False
            call: Call[T] = Call()
            if self._start(call, work):
                # Not before: an interrupt while the thread is being started would leave a call that never finishes.
                self._call = call
                return call, True
        self._run(call, work)
        return call, True

    def _start(self, call: Call[T], work: Callable[[], T]) -> bool:
        try:
            threading.Thread(target=self._run, args=(call, work), name=self._name).start()
        except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
            return False
        return True

    def _run(self, call: Call[T], work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as failure:  # noqa: BLE001  # waiting threads must learn of it, whatever it is
            self._forget(call)
            call.finish(failure=failure)
        else:
            self._forget(call)
            call.finish(result)

    def _forget(self, call: Call[T]) -> None:
        with self._lock:
            if self._call is call:
                self._call = None
