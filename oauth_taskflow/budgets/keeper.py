"""Finds the budgets that apply to a request, and the gate that keeps to all of them at once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from msgspec import Struct

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets.answer_headers import LimitHeaders
from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.slots import Charge
from oauth_taskflow.budgets.store import BudgetStore
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ApiError
from oauth_taskflow.iso8601 import duration_seconds

# Templates may give a cost to each request; more gates than that are not kept.
_MOST_GATES = 256
Render = Callable[[str], str]


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
        charges = tuple(_charge(budget_set, limit, render) for budget_set, limit in found)
        last = found[-1][0]
        held = [
            c.window.key
            for (budget_set, _), c in zip(found, charges, strict=True)
            if budget_set is last
        ]
        where = f"at {last.name}"
        return _share_gate(
            _GateKey(self._open_store(), charges, self.longest_wait, self._clock),
            lambda key: BudgetGate(
                key.store,
                charges,
                held=held,
                headers=self._list_headers(found, charges, held),
                longest_wait=self.longest_wait,
                where=where,
                clock=self._clock,
            ),
        )

    def _path_of(self, url: str) -> str:
        path = urlsplit(url).path
        return path.removeprefix(self._root) if self._root else path

    def _list_headers(
        self,
        found: Iterable[tuple[BudgetSet, RateLimit]],
        charges: Sequence[Charge],
        held: Sequence[str],
    ) -> list[tuple[LimitHeaders, frozenset[str]]]:
        named = [
            (
                LimitHeaders(limit.remaining_header, limit.reset_header or self._headers.reset),
                frozenset({charge.window.key}),
            )
            for (_, limit), charge in zip(found, charges, strict=True)
            if limit.remaining_header
        ]
        return [(self._headers, frozenset(held)), *named]


class _GateKey(Struct, frozen=True):
    """The settings of a gate; other settings need another gate."""

    store: BudgetStore
    charges: tuple[Charge, ...]
    longest_wait: float | None
    clock: Clock

    def __hash__(self) -> int:
        return hash((id(self.store), self.charges, self.longest_wait, id(self.clock)))


_gates: dict[_GateKey, BudgetGate] = {}
_lock = threading.Lock()


def _share_gate(key: _GateKey, build: Callable[[_GateKey], BudgetGate]) -> BudgetGate:
    """The gate that all sessions and threads of this process share."""
    with _lock:
        gate = _gates.pop(key, None) or build(key)
        _gates[key] = gate  # the latest last
        while len(_gates) > _MOST_GATES:
            _gates.pop(next(iter(_gates)))
        return gate


def _applies(limit: RateLimit, endpoint: str, path: str) -> bool:
    if not limit.endpoints:
        return True
    return any(
        fnmatchcase(path, one) if one.startswith("/") else one == endpoint
        for one in limit.endpoints
    )


def _charge(budget_set: BudgetSet, limit: RateLimit, render: Render | None) -> Charge:
    window = build_window(budget_set.name, limit)
    return Charge(window, _cost(limit, window.label, render))


def build_window(place: str, limit: RateLimit) -> Window:
    """The window of a budget that is stated at ``place``; budgets of one name are one in all places."""
    requests, per = limit.requests or 1, duration_seconds(limit.per)
    which = ",".join(sorted(limit.endpoints))
    place = f"name {limit.name}" if limit.name else place
    place = f"{place} {which}".strip()
    key = hashlib.sha256(f"{place}\n{per}".encode()).hexdigest()
    return Window(key, f"{requests} per {limit.per}, {place}", float(requests), per)


def _cost(limit: RateLimit, label: str, render: Render | None) -> float:
    """Returns the cost of one request.

    Raises:
        ApiError: that is not a number above 0, or more than the whole budget.
    """
    weight: object = limit.weight
    if isinstance(weight, str):
        weight = render(weight) if render is not None else weight
    try:
        cost = float(weight)  # type: ignore[arg-type]  # a text that is not a number raises
    except ValueError:
        cost = 0.0
    if not 0 < cost <= (limit.requests or 1):
        raise ApiError(
            f"The weight of a request is {weight!r}, but must be above 0 and at most the budget",
            where=f"in the budget of {label}",
            hint="Let weight be a number, or a template that gives one.",
        )
    return cost
