"""Clocks that tests move."""

from __future__ import annotations

import threading

from oauth_taskflow.clock import SystemClock


class FakeClock:
    """Stands still until a caller sleeps on it or moves it. Wall and monotonic time move together."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._start = start
        self._passed = 0.0
        self._jumped = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        return self._start + self._passed + self._jumped

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP would; no time passes."""
        with self._lock:
            self._jumped += seconds


class ShiftedClock(SystemClock):
    """This machine's clock, ``by`` seconds ahead: a server that is out of step."""

    def __init__(self, by: float) -> None:
        self.by = by

    def now(self) -> float:
        return super().now() + self.by
