"""A clock that tests move, and a store that goes by it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import ColumnElement, Double, bindparam

from oauth_taskflow.clock import SystemClock
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.transitions import Transition


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


class ClockedStore(SqlTokenStore):
    """A store whose database lives on ``clock`` too. ``ahead`` is the database's clock minus ours.

    ``meanwhile`` happens once, just before the next change is written: another worker was faster.
    """

    ahead = 0.0
    meanwhile: Callable[[], None] | None = None

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            happening()
        return super().change(record, transition)

    def _now(self) -> ColumnElement[float]:
        return bindparam(None, callable_=self._read_clock, type_=Double, unique=True)

    def _read_clock(self) -> float:
        clock = self._clock
        assert isinstance(clock, FakeClock)
        return clock._start + clock._passed + self.ahead
