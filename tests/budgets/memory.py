"""A store of budgets in memory, timed by a clock that tests move."""

from __future__ import annotations

import threading

from oauth_taskflow.budgets.ledger import Ledger
from oauth_taskflow.budgets.slots import Ask, grant_slots
from oauth_taskflow.budgets.store import TimedGrant
from oauth_taskflow.clock import Clock


class MemoryBudgetStore:
    """Keeps ledgers as a database does: as text, in one transaction for each question."""

    name = "memory"

    def __init__(self, clock: Clock, ahead: float = 0.0) -> None:
        self._clock, self.ahead = clock, ahead
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()
        self.questions: list[Ask] = []
        self._ends: list[float] = []

    def ask(self, question: Ask) -> TimedGrant:
        with self._lock:
            self.questions.append(question)
            keys = {charge.window.key for charge in question.charges}
            ledgers = {key: Ledger.decode(self._texts.get(key, "")) for key in keys}
            monotonic = self._clock.monotonic()
            grant = grant_slots(
                question,
                [ledgers[charge.window.key] for charge in question.charges],
                self._clock.now() + self.ahead,
            )
            self._texts.update({key: ledger.encode() for key, ledger in ledgers.items()})
            self._ends = [slot.end for slot in grant.slots]
            return TimedGrant(grant, monotonic, monotonic)

    def last_slot_end(self) -> float:
        """When the last slot of the last grant ends."""
        return self._ends[-1]
