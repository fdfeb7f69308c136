"""Finds the budgets that apply to a request, and the gate that keeps to all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets.answer_headers import LimitHeaders
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from oauth_taskflow.budgets.charges import Render
    from oauth_taskflow.budgets.gate import BudgetGate
    from oauth_taskflow.budgets.store import BudgetStore


class BudgetSet(Struct, frozen=True):
    """The budgets of one place: a connection, a spec or an endpoint. ``name`` is what shares them."""

    name: str
    limits: tuple[RateLimit, ...]


class Budgets:
    """The budgets of a connection, and the gates of its sessions. Safe for threads.

    Args:
        open_store: returns where budgets are kept; called for the first request that has a budget.
        budget_set: the budgets of the connection.
        base_url: the address below which path patterns are looked for.
        headers: the connection's own header with the end of a limit.
        longest_wait: seconds after which a request raises ``BudgetWait``; None waits as long as necessary.
    """

    def __init__(
        self,
        open_store: Callable[[], BudgetStore],
        budget_set: BudgetSet,
        *,
        base_url: str = "",
        headers: LimitHeaders | None = None,
        longest_wait: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._open_store, self._budget_set = open_store, budget_set
        self._root = urlsplit(base_url).path.rstrip("/")
        self._headers = headers or LimitHeaders()
        self.longest_wait, self._clock = longest_wait, clock

    def find_gate(self, url: str) -> BudgetGate | None:
        """The gate of requests to ``url`` that belong to no endpoint; None where no budget applies."""
        if not self._budget_set.limits:
            return None
        return self.find_endpoint_gate("", url, ())

    def find_endpoint_gate(
        self,
        endpoint: str,
        url: str,
        budget_sets: Sequence[BudgetSet],
        render: Render | None = None,
    ) -> BudgetGate | None:
        """The gate of requests to ``url`` for ``endpoint``; None where no budget applies.

        ``budget_sets`` are those of spec and endpoint, the narrowest last. ``render`` fills the templates of weights.

        Raises:
            ApiError: a weight is not a number above 0, or more than its whole budget.
        """
        path = self._path_of(url)
        found = [
            (budget_set, limit)
            for budget_set in (self._budget_set, *budget_sets)
            for limit in budget_set.limits
            if _applies(limit, endpoint, path)
        ]
        if not found:
            return None
        from oauth_taskflow.budgets.shared_gates import (  # noqa: PLC0415 - most connections have no budget
            share_gate,
        )

        return share_gate(
            self._open_store(),
            found,
            render,
            headers=self._headers,
            longest_wait=self.longest_wait,
            clock=self._clock,
        )

    def _path_of(self, url: str) -> str:
        path = urlsplit(url).path
        return path.removeprefix(self._root) if self._root else path


def _applies(limit: RateLimit, endpoint: str, path: str) -> bool:
    if not limit.endpoints:
        return True
    return any(
        fnmatchcase(path, one) if one.startswith("/") else one == endpoint
        for one in limit.endpoints
    )
