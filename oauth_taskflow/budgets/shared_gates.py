"""The gates of this process: all its sessions and threads share one for the same budgets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets.answer_headers import LimitHeaders
from oauth_taskflow.budgets.charges import Render, build_charge
from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.slots import Charge
from oauth_taskflow.budgets.store import BudgetStore
from oauth_taskflow.clock import Clock

if TYPE_CHECKING:
    from oauth_taskflow.budgets.keeper import BudgetSet

# Templates may give a cost to each request; more gates than that are not kept.
_MOST_GATES = 256


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


def share_gate(
    store: BudgetStore,
    limits: Sequence[tuple[BudgetSet, RateLimit]],
    render: Render | None,
    *,
    headers: LimitHeaders,
    longest_wait: float | None,
    clock: Clock,
) -> BudgetGate:
    """The gate that keeps to ``limits``, the narrowest last. ``headers`` state the narrowest ones.

    Raises:
        ApiError: a weight is not a number above 0, or more than its whole budget.
    """
    charges = tuple(build_charge(budgets.name, limit, render) for budgets, limit in limits)
    key = _GateKey(store, charges, longest_wait, clock)
    with _lock:
        gate = _gates.pop(key, None) or _build_gate(key, limits, headers)
        _gates[key] = gate  # the latest last
        while len(_gates) > _MOST_GATES:
            _gates.pop(next(iter(_gates)))
        return gate


def _build_gate(
    key: _GateKey, limits: Sequence[tuple[BudgetSet, RateLimit]], headers: LimitHeaders
) -> BudgetGate:
    narrowest = limits[-1][0]
    windows = [charge.window.key for charge in key.charges]
    pairs = list(zip(limits, windows, strict=True))
    held = [window for (budgets, _), window in pairs if budgets is narrowest]
    named = [
        (
            LimitHeaders(limit.remaining_header, limit.reset_header or headers.reset),
            frozenset({window}),
        )
        for (_, limit), window in pairs
        if limit.remaining_header
    ]
    return BudgetGate(
        key.store,
        key.charges,
        held=held,
        headers=[(headers, frozenset(held)), *named],
        longest_wait=key.longest_wait,
        where=f"at {narrowest.name}",
        clock=key.clock,
    )
