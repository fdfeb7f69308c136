"""What one request costs of a budget, and the window that the budget is counted in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.slots import Charge
from oauth_taskflow.errors import ApiError
from oauth_taskflow.iso8601 import duration_seconds

Render = Callable[[str], str]


def build_charge(place: str, limit: RateLimit, render: Render | None) -> Charge:
    """The charge of one request on the budget that is stated at ``place``; ``render`` fills the template of its weight.

    Raises:
        ApiError: the weight is not a number above 0, or more than the whole budget.
    """
    window = build_window(place, limit)
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
