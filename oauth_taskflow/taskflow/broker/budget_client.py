"""The budgets of a connection for a task in broker mode: the broker keeps them, and this store asks it."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.budgets.far_clock import FarClock
from oauth_taskflow.budgets.ledger import MOST_SLACK
from oauth_taskflow.budgets.slots import Ask, Slot
from oauth_taskflow.budgets.store import BudgetStore, TimedGrant
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.taskflow.broker.budget_wire import KIND, BudgetAnswer, read_answer, write_ask
from oauth_taskflow.taskflow.broker.channel import UnknownQuestion, ask_about
from oauth_taskflow.taskflow.broker.questions import TooLong

_log = logging.getLogger(__name__)
# Assumed before the first answer: half of the time that a question may take.
_FIRST_SLACK = 0.25
# Each question assumes a little more than the last answer showed, and at least this.
_MORE, _LEAST_SLACK = 1.25, 0.01
# So many answers in a row that came too late are not an accident.
_MOST_LATE = 10
_turns = itertools.count(1)
_AskAbout = Callable[..., Any]


class BrokerBudgetStore:
    """Asks the broker for slots; at most as often as its gate asks. Safe for threads.

    Args:
        conn_id: the connection.
        fall_back: returns the store to use with an API server that does not know the question.
        ask: asks the broker.
        clock: this machine's clock.
    """

    def __init__(
        self,
        conn_id: str,
        fall_back: Callable[[], BudgetStore],
        ask: _AskAbout = ask_about,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = "Airflow's API server"
        self._conn_id, self._fall_back = conn_id, fall_back
        self._ask, self._clock = ask, clock
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._far = FarClock()
        self._slack = _FIRST_SLACK
        self._unusable: tuple[Slot, ...] = ()
        self._other: BudgetStore | None = None
        self._has_warned = False
        self._late = 0

    def __repr__(self) -> str:
        return f"BrokerBudgetStore({self._conn_id!r})"

    def ask(self, question: Ask) -> TimedGrant:
        """Asks the broker ``question``.

        Raises:
            TokenStoreError: the API server is away, or its store.
        """
        if self._other is not None:
            return self._other.ask(question)
        if self._pid != os.getpid():  # a parent's thread may hold the lock
            self._pid, self._lock, self._unusable = os.getpid(), threading.Lock(), ()
        with self._lock:
            try:
                return self._read(question, self._put(question))
            except UnknownQuestion:
                other = self._other = self._fall_back()
        return other.ask(replace(question, returned=()))

    def _put(self, question: Ask) -> tuple[BudgetAnswer, float, float]:
        """The answer, and the monotonic instants before and after it."""
        asked = replace(question, returned=(*question.returned, *self._unusable))
        self._unusable = ()
        # A question that only gives back must not hold up the end of a task.
        options = {"patient": bool(question.demand), "clock": self._clock}
        while True:
            before = self._clock.monotonic()
            body = write_ask(asked, turn=next(_turns), slack=self._slack)
            try:
                answer = self._ask(self._conn_id, KIND, body, **options)
            except TooLong:
                # The rest is lost for a period, which does no harm.
                asked = replace(asked, returned=asked.returned[: len(asked.returned) // 2])
                continue
            return read_answer(answer), before, self._clock.monotonic()

    def _read(self, question: Ask, answered: tuple[BudgetAnswer, float, float]) -> TimedGrant:
        answer, before, after = answered
        self._far.learn(answer.now, before + answer.before, after - answer.after)
        grant, assumed = answer.grant, self._slack
        self._slack = max(self._far.slack * _MORE, _LEAST_SLACK)
        if grant.slots and self._far.slack > min(assumed, MOST_SLACK):
            # The answer took so long that requests could be sent outside of their time: the next question gives them back.
            self._unusable = grant.slots
            grant = replace(grant, slots=())
            self._late += 1
            if self._late > _MOST_LATE:
                raise _late_error(self._conn_id, self._far.slack)
        elif grant.slots:
            self._late = 0
        self._warn_of_names(question, answer.unstated)
        return TimedGrant(grant, *self._far.bound(answer.now))

    def _warn_of_names(self, question: Ask, unstated: tuple[str, ...]) -> None:
        labels = [c.window.label for c in question.charges if c.window.key in unstated]
        named = [label for label in labels if ", name " in label and ", name spec:" not in label]
        if named and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "In broker mode the request budget of %s is that of connection %r alone, because the connection does not "
                "state it. To share it with other connections, write it into rate_limit of each, or set [oauth_taskflow] "
                "budget_store (docs/budgets.md).",
                *(named[0], self._conn_id),
            )


def _late_error(conn_id: str, slack: float) -> TokenStoreError:
    error = TokenStoreError(
        f"Airflow's API server answers questions about budgets too late ({2 * slack:.1f} s): no worker would know when a "
        "request may be sent",
        where=f"for connection {conn_id!r}",
        hint="Give it more processes ([api] workers), or set [oauth_taskflow] budget_store to a database that tasks reach.",
    )
    error.retryable = True
    return error
