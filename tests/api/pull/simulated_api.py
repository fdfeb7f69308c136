"""An API in simulated time: as many requests in flight as a limit allows, answered one after the other."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from oauth_taskflow.api.pull.in_flight.limit import ConcurrencyLimit


@dataclass
class SimulatedApi:
    """``latency(n)`` is the seconds that an answer takes while ``n`` requests run; more than ``most`` at once get a 429.

    A refused request waits half a second before it leaves its place. ``work`` is the seconds that this machine needs for each answer, one after the other.
    """

    latency: Callable[[int], float]
    most: int = 1_000
    work: float = 0.0
    now: float = 0.0
    refused: int = 0
    seen: list[int] = field(default_factory=list)

    def run(self, limit: ConcurrencyLimit, answers: int, *, at_once: int = 1_000) -> float:
        """Returns the seconds until ``answers`` answers have come, with never more than ``at_once`` to ask for."""
        began, busy, left = self.now, self.now, answers
        running: list[tuple[float, float, bool]] = []
        while left > 0:
            while len(running) < min(limit.value, at_once):
                count = sum(not refused for _, _, refused in running) + 1
                took = self.latency(count)
                if count > self.most:
                    self.refused += 1
                    limit.note_overload(self.now, limit.generation)
                    heapq.heappush(running, (self.now + took + 0.5, took, True))
                else:
                    heapq.heappush(running, (self.now + took, took, False))
            self.now, took, is_refused = heapq.heappop(running)
            if is_refused:
                continue
            busy = self.now = max(self.now, busy) + self.work
            left -= 1
            limit.note_answer(self.now, took, len(running) + 1)
            self.seen.append(limit.value)
        return self.now - began
