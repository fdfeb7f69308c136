"""The pace of log lines about one thing, so that their number depends on time and not on the amount of work."""

from __future__ import annotations

from oauth_taskflow.clock import Clock

EVERY_SECONDS = 10.0


class LinePace:
    """Allows ``at_once`` lines, and one more every ten seconds; lines that were not used are kept up to ``at_once``."""

    def __init__(self, clock: Clock, at_once: int = 1) -> None:
        self._clock = clock
        self._most = self._left = float(at_once)
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Returns whether a line may be written now, and counts it if so."""
        self._fill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) / EVERY_SECONDS)
        self._at = now
