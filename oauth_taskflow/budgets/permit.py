"""One request's way through a gate: its place among those that wait, and the right to send that ends soon."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from oauth_taskflow.budgets.slots import Slot


class _Gate(Protocol):
    def acquire(self) -> Permit: ...
    def take(self) -> Slot | float: ...
    def leave(self) -> None: ...
    def is_current(self, slot: Slot) -> bool: ...
    def miss(self, slot: Slot) -> None: ...
    def learn_delay(self, seconds: float) -> None: ...


class Permit:
    """The right to send one request in ``slot``; ``waited`` is in seconds.

    The slot may pass while a connection is opened. ``confirm`` is therefore called right before the request is written,
    and ``note_written`` after that.
    """

    def __init__(self, gate: _Gate, slot: Slot, waited: float) -> None:
        self._gate, self._slot, self.waited = gate, slot, waited
        self._confirmed = 0.0

    def confirm(self) -> float:
        """Take the next slot if this one has passed; returns the seconds waited for it.

        Raises:
            BudgetWait: that is longer away than the caller wants to wait.
            TokenStoreError: the store of the budgets cannot be asked.
        """
        waited = 0.0
        while not self.is_current():
            waited += self.replace(self._gate.acquire())
        return waited

    def is_current(self) -> bool:
        """Whether the request may be written now; else the slot is given up, and another one must be taken."""
        self._confirmed = time.monotonic()
        if self._gate.is_current(self._slot):
            return True
        self._gate.miss(self._slot)
        return False

    def replace(self, other: Permit) -> float:
        """Take over the slot of ``other``; returns the seconds that were waited for it."""
        self._slot = other._slot
        return other.waited

    def note_written(self) -> None:
        """Let the gate learn how long the request took to be written after ``confirm``."""
        self._gate.learn_delay(time.monotonic() - self._confirmed)


class Ticket:
    """One request's place at a gate; a context manager. ``waited`` are the seconds that the caller waited."""

    permit: Permit

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate
        self.waited = 0.0

    def poll(self) -> float:
        """Seconds to wait before the next call; 0 means that the request may be sent now, with ``permit``.

        It may ask the store, so call it in a thread from an event loop.

        Raises:
            BudgetWait: that is longer than the gate's ``longest_wait`` away.
            TokenStoreError: the store cannot be asked.
        """
        found = self._gate.take()
        if not isinstance(found, Slot):
            return found
        self.permit = Permit(self._gate, found, self.waited)
        return 0.0

    def leave(self) -> None:
        """Give up the place, after the slot was taken or instead of it."""
        self._gate.leave()

    def __enter__(self) -> Ticket:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
