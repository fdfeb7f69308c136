"""The options of a request budget, and the gate that holds a session's requests back.

The gate itself is in ``oauth_taskflow.budgets``; sessions and the pull loop know the protocol only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Annotated, Any, Protocol

from msgspec import Meta

from oauth_taskflow.schema.types import Count, Duration, Options, Text, doc

_Cost = Annotated[float, Meta(gt=0)]
Weight = _Cost | Text


class RateLimit(Options, frozen=True, kw_only=True):
    """A budget that requests keep to, on all workers together."""

    requests: Annotated[Count | None, doc("Requests allowed in any period.", 100)] = None
    per: Annotated[Duration, doc("Length of the period.", "PT1M")] = "PT1S"
    weight: Annotated[
        Weight,
        doc(
            "What one request costs: a number, or in specs a template with the names that every request has.",
            2,
            "{{ 10 if endpoint == 'orders' else 1 }}",
        ),
    ] = 1
    endpoints: Annotated[
        tuple[Text, ...],
        doc(
            "Endpoints that count, by name, or by a path pattern that begins with /; all of them unless set.",
            ["search"],
            ["/crm/v3/objects/*/search"],
        ),
    ] = ()
    name: Annotated[
        Text | None,
        doc("Budgets of the same name and period are one, in every spec and connection.", "acme"),
    ] = None
    remaining_header: Annotated[
        Text | None,
        doc(
            "Answer header that says how much of this budget is left; the usual ones unless set.",
            "X-Daily-Remaining",
        ),
    ] = None
    reset_header: Annotated[
        Text | None,
        doc(
            "Answer header that says when it is whole again: seconds, an epoch time or a date.",
            "X-Daily-Reset",
        ),
    ] = None


RateLimits = RateLimit | list[RateLimit]


def list_limits(limits: RateLimits | None) -> list[RateLimit]:
    """The budgets in ``limits``, which holds one, several or none."""
    if limits is None:
        return []
    return [limits] if isinstance(limits, RateLimit) else list(limits)


class Permit(Protocol):
    """The right to send one request within a short time; ``waited`` are the seconds that it took to get it."""

    waited: float

    def is_current(self) -> bool:
        """Whether the request may be written now. If not, the right is given up: ``replace`` it by another one."""

    def replace(self, other: Any) -> float:
        """Take over the right of ``other``; returns the seconds that were waited for it."""

    def confirm(self) -> float:
        """Called right before the request is written: waits for the next right if this one has passed, and says how long.

        Raises as ``Ticket.poll``.
        """

    def note_written(self) -> None:
        """Called when the request is written, so that the gate learns how long that takes."""


class Ticket(AbstractContextManager["Ticket"], Protocol):
    """One request's place at a gate; leaving the context gives it up. ``waited`` are seconds."""

    waited: float

    @property
    def permit(self) -> Permit:
        """The right to send, once ``poll`` returned 0."""

    def poll(self) -> float:
        """Seconds to wait before the next call; 0 means that the request may be sent now. It may do I/O.

        Raises:
            BudgetWait: that is longer away than the caller wants to wait.
            TokenStoreError: the store of the budgets cannot be asked.
        """


class Holds(Protocol):
    """The state that a gate of threads and one of an event loop share."""

    def hold(self, seconds: float) -> None:
        """Let no request of any worker start for ``seconds``, because the API reported a used-up limit."""


class Gate(Holds, Protocol):
    """Holds requests back until every budget that applies to them allows them."""

    def enter(self) -> Ticket:
        """A place among the requests that wait."""

    def acquire(self) -> Permit:
        """Wait until one more request may be sent; raises as ``Ticket.poll``."""

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of a response what the API says about its limits."""


class GateKeeper(Protocol):
    """Finds the gate of a session's own requests."""

    def find_gate(self, url: str) -> Gate | None:
        """The gate of requests to ``url``; None where no budget applies."""
