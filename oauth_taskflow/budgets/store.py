"""The contract of a store of budgets."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from oauth_taskflow.budgets.slots import Ask, Grant


class TimedGrant(Struct, frozen=True):
    """A grant, and this machine's monotonic clock before and after the database's clock was read."""

    grant: Grant
    before: float
    after: float


class BudgetStore(Protocol):
    """Where the ledgers of budgets are kept."""

    name: str

    def ask(self, question: Ask) -> TimedGrant:
        """Answers ``question`` in one transaction.

        Raises:
            TokenStoreError: the database failed; ``retryable`` when it may come back.
        """
