"""The clock of a database that a worker asks through others, as far as it is known. Pure; seconds throughout."""

from __future__ import annotations

# Clocks of machines drift apart by less than this share.
_DRIFT = 2e-4


class FarClock:
    """The offset of a far clock from this machine's monotonic clock, between two bounds that each answer narrows."""

    def __init__(self) -> None:
        self._low = self._high = 0.0
        self._at: float | None = None

    def learn(self, far: float, before: float, after: float) -> None:
        """Notes that the far clock showed ``far`` at an instant from ``before`` to ``after`` on the monotonic clock."""
        low, high = far - max(before, after), far - min(before, after)
        if self._at is not None:
            drift = abs(after - self._at) * _DRIFT
            low, high = max(low, self._low - drift), min(high, self._high + drift)
            if low > high:  # a clock was set: only the latest answer counts
                low, high = far - max(before, after), far - min(before, after)
        self._low, self._high, self._at = low, high, after

    @property
    def slack(self) -> float:
        """How far the middle of the bounds may be off."""
        return (self._high - self._low) / 2

    def bound(self, far: float) -> tuple[float, float]:
        """The first and last instant on the monotonic clock at which the far clock may have shown ``far``."""
        return far - self._high, far - self._low
