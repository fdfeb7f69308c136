"""One piece of work at a time, however many threads ask for its result."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from oauth_taskflow.errors import OAuthTaskflowError

T = TypeVar("T")


class Flight(Generic[T]):
    """One piece of work under way; whoever waits for what it comes to is let through one after the other.

    A condition, which a future waits by, lets all go at once: a thousand threads then fight for it and the interpreter
    for up to a second, where a queue takes a tenth.
    """

    def __init__(self) -> None:
        self._landed = False
        self._result: T | None = None
        self._failure: BaseException | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def land(self, result: T | None = None, failure: BaseException | None = None) -> None:
        """Let everybody go with ``result``, or with ``failure`` if there is one. Called once."""
        self._result, self._failure, self._landed = result, failure, True
        self._gate.release()

    def result(self) -> T:
        """What the work came to, or what it raised."""
        if not self._landed:
            with self._gate:
                pass
        if self._failure is not None:
            raise self._failure
        return cast("T", self._result)


class SingleFlight(Generic[T]):
    """Runs work in a thread of its own and hands the result to everybody who asked meanwhile.

    The thread is not a daemon and ends with the work: a task that is timed out or interrupted while a refresh token
    is on its way does not take the answer down with it, and the interpreter waits for it before it exits.
    Whoever asks may be interrupted at any point, by a signal handler that raises, and leaves nobody waiting.
    Usable after a fork: a child starts without flights.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._flight: Flight[T] | None = None

    def run(self, work: Callable[[], T]) -> tuple[T, bool]:
        """The result of ``work``, or of what was already under way, and whether it was ours."""
        flight, led = self._join_or_start(work)
        try:
            return flight.result(), led
        except OAuthTaskflowError as failure:
            # Each thread raises its own copy: a shared one would collect every thread's traceback.
            raise copy.copy(failure) from failure.__cause__

    def start(self, work: Callable[[], T]) -> None:
        """Start ``work`` and return at once, unless some is under way; a failure is the work's own to report."""
        self._join_or_start(work)

    def _join_or_start(self, work: Callable[[], T]) -> tuple[Flight[T], bool]:
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            flight: Flight[T] = Flight()
            if self._takes_off(flight, work):
                # Not before: an interrupt while the thread is being started would leave a flight that never lands.
                self._flight = flight
                return flight, True
        self._fly(flight, work)
        return flight, True

    def _takes_off(self, flight: Flight[T], work: Callable[[], T]) -> bool:
        try:
            threading.Thread(target=self._fly, args=(flight, work), name="oauth-refresh").start()
        except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
            return False
        return True

    def _fly(self, flight: Flight[T], work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as failure:  # noqa: BLE001  # whoever waits must hear of it, whatever it is
            self._land(flight)
            flight.land(failure=failure)
        else:
            self._land(flight)
            flight.land(result)

    def _land(self, flight: Flight[T]) -> None:
        with self._lock:
            if self._flight is flight:
                self._flight = None
