"""The budgets that the tasks of one connection may ask for, where the broker answers for a store that they do not open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets.charges import build_window
from oauth_taskflow.budgets.ledger import MOST_SLACK, Window
from oauth_taskflow.budgets.slots import Ask, Charge
from oauth_taskflow.budgets.store import TimedGrant
from oauth_taskflow.errors import TokenStoreError

if TYPE_CHECKING:
    from oauth_taskflow.budgets.sql import SqlBudgetStore

# Budgets of specs and endpoints on one connection; unused ones are dropped first.
_MOST_BUDGETS = 1000
_UNUSED_SECONDS = 64 * 86_400.0
# Slots are given out so many cells ahead, so that a ledger has a size, and at least so many seconds.
_CELLS_AHEAD, _SECONDS_AHEAD = 1024, 10.0
_MOST_DEMAND = 256


class ConnectionBudgetStore:
    """The budgets of one connection. Budgets that the connection states are as it states them, whatever a task says.

    All others belong to the connection alone: no task of another one spends or holds them.

    Args:
        store: where the ledgers are.
        conn_id: the connection.
        stated: the budgets that it states.
        team: the team that owns it, where Airflow has teams.
    """

    def __init__(
        self, store: SqlBudgetStore, conn_id: str, stated: Sequence[RateLimit], team: str = ""
    ) -> None:
        self.name = store.name
        self._store, self._team = store, team
        self._place = f"{team}/{conn_id}" if team else conn_id
        windows = [build_window(conn_id, limit) for limit in stated]
        self._stated = {window.key: window for window in windows}
        self._known: set[str] = set()

    def __repr__(self) -> str:
        return f"ConnectionBudgetStore({self._place!r})"

    def is_stated(self, key: str) -> bool:
        """Whether the connection itself states the budget ``key``."""
        return key in self._stated

    def ask(self, question: Ask) -> TimedGrant:
        """Answers ``question`` as the store does, within the bounds of one task.

        Raises:
            TokenStoreError: the store failed, or the connection has too many budgets.
        """
        keys = {
            charge.window.key: self._place_key(charge.window.key) for charge in question.charges
        }
        charges = tuple(self._bind(charge, keys) for charge in question.charges)
        self._admit([key for key, own in keys.items() if not self.is_stated(key)], keys)
        cell = min(charge.window.cell for charge in charges)
        hold = question.hold
        if hold is not None:
            hold = frozenset(keys[key] for key in hold[0] if key in keys), hold[1]
        bound = replace(
            question,
            charges=charges,
            demand=min(question.demand, _MOST_DEMAND),
            latest=min(question.latest, max(_SECONDS_AHEAD, _CELLS_AHEAD * cell)),
            hold=hold,
        )
        return self._store.ask(bound)

    def _place_key(self, key: str) -> str:
        if self.is_stated(key) and not self._team:
            return key
        owner = f"team {self._team}" if self.is_stated(key) else f"tasks of {self._place}"
        return hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()

    def _bind(self, charge: Charge, keys: dict[str, str]) -> Charge:
        asked = charge.window
        slack = min(asked.slack, MOST_SLACK)
        stated = self._stated.get(asked.key)
        if stated is not None:
            cost = min(charge.cost, stated.requests)
            return Charge(replace(stated, key=keys[asked.key], slack=slack), cost)
        window = Window(
            keys[asked.key], f"{self._prefix}{asked.label}", asked.requests, asked.per, slack
        )
        return Charge(window, charge.cost)

    @property
    def _prefix(self) -> str:
        return f"{self._place}: "

    def _admit(self, asked: Sequence[str], keys: dict[str, str]) -> None:
        """Lets budgets in that have no ledger yet, as long as there is room.

        Raises:
            TokenStoreError: there is none.
        """
        fresh = [keys[key] for key in asked if keys[key] not in self._known]
        if not fresh:
            return
        known, count = self._store.count_budgets(self._prefix, fresh)
        if known < len(fresh) and count >= _MOST_BUDGETS:
            self._store.forget_budgets(self._prefix, _UNUSED_SECONDS)
            known, count = self._store.count_budgets(self._prefix, fresh)
            if known < len(fresh) and count >= _MOST_BUDGETS:
                raise TokenStoreError(
                    f"The tasks of the connection ask for more than {_MOST_BUDGETS} budgets",
                    where=f"for connection {self._place!r} on the API server",
                    hint="Give fewer endpoints their own rate_limit, or set [oauth_taskflow] budget_store.",
                )
        if len(self._known) > 2 * _MOST_BUDGETS:
            self._known.clear()
        self._known.update(fresh)
