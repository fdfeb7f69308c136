"""Holds the requests of one process back until their budgets allow them.

A gate takes slots for about the coming second from the store, at most one question a second, and gives them to the
threads that wait. Slots that were not used go back with the next question, after two seconds without a request, or when
the process ends. A process that is killed never spends more than it was given.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Mapping, Sequence

from oauth_taskflow.budgets.answer_headers import LimitHeaders, find_wait
from oauth_taskflow.budgets.ledger import FARTHEST
from oauth_taskflow.budgets.leftovers import IDLE, Later, return_later, worker_name
from oauth_taskflow.budgets.permit import Permit, Ticket
from oauth_taskflow.budgets.slots import AHEAD, Ask, Charge, Slot
from oauth_taskflow.budgets.store import BudgetStore
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import BudgetWait, OAuthTaskflowError
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.line_pace import LinePace
from oauth_taskflow.waits import BUDGET, note_wait

_log = logging.getLogger(__name__)
# Seconds between two questions to the store.
_BETWEEN = 1.0
# A worker that waits asks again at the latest after this time, because slots may have been returned.
_ASK_AGAIN = 10.0
# Before a slot that was given long ago the store is asked whether all requests are held now; this many seconds earlier.
_LEAD = 0.05
# A pull of a few pages needs no second question, whatever was sent before it.
_SPARE = 16
_FIRST_SPARE = 1_000_000
_WORTH_A_LINE = 5.0
_LINES_AT_ONCE = 3
_SHORTEST = 0.001
# The share of the longest delay that is still expected after each request.
_DELAY_KEPT = 0.95


class BudgetGate:
    """The gate of requests that count in the same budgets, shared by the threads of a process.

    Args:
        store: where the budgets are kept.
        charges: the budgets, and the cost of a request in each.
        held: the keys of the budgets that wait when the API reports a used-up limit.
        headers: the headers with which the API reports its limits, and the keys of the budgets each speaks about.
        longest_wait: seconds after which ``BudgetWait`` is raised instead; None waits as long as necessary.
        where: the place for messages.
        clock: this machine's clock.
        worker: names this process to the store.
        later: lets unused slots be returned; not with a clock other than the system's, which timers go by.
    """

    def __init__(
        self,
        store: BudgetStore,
        charges: Sequence[Charge],
        *,
        held: Collection[str] = (),
        headers: Sequence[tuple[LimitHeaders, frozenset[str]]] = (),
        longest_wait: float | None = None,
        where: str = "",
        clock: Clock = SYSTEM_CLOCK,
        worker: str = "",
        later: Later | None = None,
    ) -> None:
        self._named = worker
        self._later = return_later if later is None and clock is SYSTEM_CLOCK else later
        self.store, self.charges = store, tuple(charges)
        self._held = frozenset(held or (charge.window.key for charge in charges))
        self._headers = tuple(headers) or ((LimitHeaders(), self._held),)
        self.longest_wait, self._where, self._clock = longest_wait, where, clock
        self._pace = LinePace(clock, _LINES_AT_ONCE)
        self._start()

    def _start(self) -> None:
        """Forget what a parent process was given, because the parent spends it."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._worker = self._named or worker_name()
        self._slots: list[Slot] = []
        self._unused: list[Slot] = []
        self._waiting = 0
        self._taken = 0
        self._taken_at = 0.0
        self._delay = self._lag = self._last_lag = 0.0
        self._offset = 0.0
        self._asked_at: float | None = None
        self._next_free: float | None = None
        self._held_until = 0.0

    def __repr__(self) -> str:
        return f"BudgetGate({', '.join(charge.window.label for charge in self.charges)})"

    def enter(self) -> Ticket:
        """A place among those that wait; leave it when the request may be sent, or is given up."""
        if self._pid != os.getpid():
            self._start()
        with self._lock:
            self._waiting += 1
        return Ticket(self)

    def acquire(self) -> Permit:
        """Wait until one more request may be sent, and return the right to send it, which lasts a short time.

        Raises:
            BudgetWait: that is longer than ``longest_wait`` away.
            TokenStoreError: the store cannot be asked.
        """
        with self.enter() as ticket:
            while (wait := ticket.poll()) > 0:
                if wait >= _WORTH_A_LINE and self._pace.take():
                    _log.info("Waiting %.1f s to keep to the request budget %s", wait, self._where)
                ticket.waited += wait
                self._clock.sleep(wait)
            note_wait(BUDGET, ticket.waited)
            return ticket.permit

    def hold(self, seconds: float) -> None:
        """Let no request of any worker start for ``seconds``, because the API reported a used-up limit.

        Other workers learn of it with their next question, within about a second.
        """
        self._hold(self._held, seconds)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Hold the budgets that the API says are used up, until it says they are not."""
        for names, keys in self._headers:
            wait = find_wait(headers, names, self._clock.now())
            if wait is not None:
                self._hold(keys, wait)

    def _hold(self, keys: frozenset[str], seconds: float) -> None:
        if self._pid != os.getpid():
            self._start()
        with self._lock:
            until = self._clock.monotonic() + seconds
            if until <= self._held_until + _BETWEEN:
                return  # the same news, from another thread
            self._held_until = until
            self._ask(0, hold=(keys, seconds))

    def give_back(self, *, idle_for: float = 0.0) -> float:
        """Give back what was not used for ``idle_for`` seconds, as far as the store can be asked now.

        Returns the seconds after which to try again; 0 when nothing is left.
        """
        if self._pid != os.getpid():
            return 0.0
        with self._lock:
            if not (self._slots or self._unused):
                return 0.0
            idle = self._clock.monotonic() - max(self._taken_at, self._asked_at or 0.0)
            if idle_for and (self._waiting or idle < idle_for):
                return max(idle_for - idle, _BETWEEN)
            try:
                self._ask(0)
            except OAuthTaskflowError as failure:  # the task that used the rest does not suffer
                _log.info("Unused parts of a request budget were not returned: %s", failure)
        return 0.0

    def take(self) -> Slot | float:
        """A slot in which to send one request now, or the seconds to wait; see ``Ticket.poll``."""
        with self._lock:
            if slot := self._take_slot():
                return slot
            if self._is_question_due():
                self._ask(self._waiting)
                if slot := self._take_slot():
                    return slot
            return max(self._count_seconds(), _SHORTEST)

    def is_current(self, slot: Slot) -> bool:
        """Whether a request may still be written in ``slot``, and no limit was reported since it was taken."""
        now = self._clock.monotonic()
        return not self._is_past(slot, now + self._offset) and self._held_until <= now + _SHORTEST

    def miss(self, slot: Slot) -> None:
        """Note that no request was sent in ``slot``, which was taken."""
        if self._pid == os.getpid():
            with self._lock:
                self._taken -= 1
                self._unused.append(slot)

    def learn_delay(self, seconds: float) -> None:
        """Note how long a request took to be written; as much of each slot stays free at its end."""
        self._delay = max(seconds, self._delay * _DELAY_KEPT)

    def _is_past(self, slot: Slot, now: float) -> bool:
        """Whether it is too late to send in ``slot``; its first half is never too late."""
        return now + min(self._delay, (slot.end - slot.start) / 2) >= slot.end

    def _now(self) -> float:
        """The database's clock."""
        return self._clock.monotonic() + self._offset

    def _take_slot(self) -> Slot | None:
        now = self._now()
        while self._slots and self._is_past(self._slots[0], now):
            self._unused.append(self._slots.pop(0))
        if not self._slots or self._slots[0].start > now or self._is_old(now):
            return None
        slot = self._slots[0]
        slot.count -= 1
        if not slot.count:
            self._slots.pop(0)
        self._taken += 1
        self._taken_at = self._clock.monotonic()
        return Slot(slot.start, slot.end, 1)

    def _is_old(self, instant: float) -> bool:
        """Whether what the store said may no longer hold at ``instant``: all requests may be held by then."""
        asked_at = self._asked_at
        return asked_at is None or instant - (asked_at + self._offset) > AHEAD

    @property
    def _lead(self) -> float:
        return _LEAD + self._lag

    def _is_question_due(self) -> bool:
        if self._asked_at is None:
            return True
        since = self._clock.monotonic() - self._asked_at
        if since < _BETWEEN:
            return False
        if since >= _ASK_AGAIN:
            return True
        if self._slots and self._is_old(self._slots[0].start):
            return self._slots[0].start - self._now() <= self._lead
        if sum(slot.count for slot in self._slots) < self._waiting:
            return self._next_free is None or self._next_free <= self._now()
        return False

    def _count_seconds(self) -> float:
        """Seconds until a ticket should ask again."""
        asked_at = self._clock.monotonic() if self._asked_at is None else self._asked_at
        now = self._now()
        due = asked_at + self._offset + _BETWEEN - now
        if sum(slot.count for slot in self._slots) < self._waiting:
            wanted = due if self._next_free is None else max(due, self._next_free - now)
        else:
            wanted = _ASK_AGAIN
        if self._slots:
            start = self._slots[0].start - now
            early = start - self._lead if self._is_old(self._slots[0].start) else start
            wanted = min(wanted, max(early, due) if early < start else start)
        return min(wanted, _ASK_AGAIN)

    def _ask(self, demand: int, hold: tuple[frozenset[str], float] | None = None) -> None:
        """Ask the store; what this process holds goes back with the question, and is given out again."""
        returned = tuple(slot for slot in [*self._slots, *self._unused] if slot.count)
        self._slots, self._unused = [], []
        latest = FARTHEST if self.longest_wait is None else self.longest_wait
        spare, self._taken = self._choose_spare() if demand else 0, 0
        question = Ask(self.charges, self._worker, demand, spare, returned, latest, hold, self._lag)
        began = self._clock.monotonic()
        reading = self.store.ask(question)
        last, self._last_lag = self._last_lag, self._clock.monotonic() - began
        # One slow answer, such as the first, which opens the database, says little about the next.
        self._lag = min(last, self._last_lag, _BETWEEN)
        self._offset = reading.grant.now - (reading.before + reading.after) / 2
        self._asked_at = reading.after
        self._slots, self._next_free = list(reading.grant.slots), reading.grant.next_free
        if self._slots and self._later is not None:
            self._later(self, IDLE)
        self._refuse_long_wait(reading.grant.now)

    def _choose_spare(self) -> int:
        """Requests that will probably follow: twice as many as in the last second, and a few pages at least."""
        if self._asked_at is None:
            return _FIRST_SPARE
        seconds = max(self._clock.monotonic() - self._asked_at, _BETWEEN)
        return max(_SPARE, int(2 * self._taken / seconds) + 4)

    def _refuse_long_wait(self, now: float) -> None:
        if self.longest_wait is None or self._next_free is None or self._slots:
            return
        seconds = self._next_free - now
        if seconds > self.longest_wait:
            self._asked_at = None
            raise _refusal(self._clock.now() + seconds, seconds, self._where)

    def leave(self) -> None:
        """See ``Ticket.leave``."""
        if self._pid == os.getpid():
            with self._lock:
                self._waiting -= 1


def _refusal(until: float, seconds: float, where: str) -> BudgetWait:
    error = BudgetWait(
        f"The request budget is used up until {instant_text(until)}",
        where=where,
        hint="Let a retry of the task wait until then: OAuthRetryPolicy plans it, and no worker slot is held.",
        retryable=True,
        retry_after=seconds,
    )
    error.until = until
    return error
