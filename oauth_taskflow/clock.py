"""The clock as a parameter, so that tests control time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock seconds since the epoch, monotonic seconds, and sleeping."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences have a meaning."""

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for ``seconds``."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for ``seconds``."""
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
