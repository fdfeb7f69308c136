"""Questions about budgets on the wire: what a worker asks its store, in a few hundred characters. Without Airflow and I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from oauth_taskflow.budgets.ledger import FARTHEST, Window
from oauth_taskflow.budgets.slots import Ask, Charge, Grant, Slot
from oauth_taskflow.budgets.store import TimedGrant
from oauth_taskflow.taskflow.broker.questions import read_value, unreadable_question

KIND = "budget"
# Instants of slots travel as ticks of 0.1 ms after the first one; the shortest slot lasts 5 ms.
_TICKS = 10_000
_LABEL = 80
_LONGEST_PERIOD = 400 * 86_400.0
_LONGEST_HOLD = 32 * 86_400.0

Key = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class _Charge(Struct, frozen=True, array_like=True):
    key: Key
    label: Annotated[str, Meta(max_length=_LABEL)]
    requests: Annotated[float, Meta(gt=0, le=1e12)]
    per: Annotated[float, Meta(gt=0, le=_LONGEST_PERIOD)]
    cost: Annotated[float, Meta(gt=0)]


class BudgetQuestion(Struct, frozen=True, array_like=True):
    """``Ask`` as it travels. ``first`` is the tick of the first returned slot, ``returned`` holds the rest and counts."""

    charges: Annotated[tuple[_Charge, ...], Meta(min_length=1, max_length=16)]
    worker: Annotated[str, Meta(pattern="^[0-9a-zA-Z-]{1,32}$")]
    turn: Annotated[int, Meta(ge=1, le=2**53)]
    demand: Count
    spare: Count
    slack: Annotated[float, Meta(ge=0, le=60)]
    lag: Annotated[float, Meta(ge=0, le=60)] = 0.0
    latest: Annotated[float, Meta(ge=0, le=FARTHEST)] = FARTHEST
    first: Annotated[int, Meta(ge=0, le=2**53)] = 0
    returned: Annotated[
        tuple[tuple[Annotated[int, Meta(ge=0, le=2**40)], Count], ...], Meta(max_length=1024)
    ] = ()
    held: Annotated[tuple[Key, ...], Meta(max_length=16)] = ()
    hold: Annotated[float, Meta(ge=0, le=_LONGEST_HOLD)] = 0.0


def write_ask(ask: Ask, *, turn: int, slack: float) -> Any:
    """Returns ``ask`` as it travels; ``slack`` is how far this worker's idea of the database's clock may be off."""
    returned = sorted((round(slot.middle * _TICKS), slot.count) for slot in ask.returned)
    first = max(returned[0][0], 0) if returned else 0
    keys, seconds = ask.hold or (frozenset[str](), 0.0)
    return BudgetQuestion(
        tuple(
            _Charge(w.key, w.label[:_LABEL], w.requests, w.per, charge.cost)
            for charge in ask.charges
            for w in [charge.window]
        ),
        ask.worker,
        turn,
        ask.demand,
        min(ask.spare, 1_000_000),
        round(slack, 4),
        round(min(ask.lag, 60.0), 4),
        min(ask.latest, FARTHEST),
        first,
        tuple((tick - first, count) for tick, count in returned if tick >= first),
        tuple(sorted(keys)),
        min(seconds, _LONGEST_HOLD),
    )


def read_ask(body: Any) -> Ask:
    """Returns what ``write_ask`` gave.

    Raises:
        ConnectionConfigError: a value makes no sense.
    """
    asked = read_value(BudgetQuestion, body)
    if any(charge.cost > charge.requests for charge in asked.charges):
        raise unreadable_question()
    return Ask(
        tuple(
            Charge(Window(one.key, one.label, one.requests, one.per, asked.slack), one.cost)
            for one in asked.charges
        ),
        asked.worker,
        asked.demand,
        asked.spare,
        tuple(_slot((asked.first + tick) / _TICKS, count) for tick, count in asked.returned),
        asked.latest,
        (frozenset(asked.held), asked.hold) if asked.held else None,
        asked.lag,
        asked.turn,
    )


def _slot(middle: float, count: int) -> Slot:
    return Slot(middle, middle, count)


class BudgetAnswer(Struct, frozen=True, array_like=True):
    """The grant, when in the broker's work the database's clock was read, and which budgets are not the connection's."""

    now: float
    before: float
    after: float
    next_free: float | None
    slots: tuple[tuple[float, float, int], ...]
    unstated: tuple[str, ...] = ()

    @property
    def grant(self) -> Grant:
        """The grant."""
        return Grant(tuple(Slot(*slot) for slot in self.slots), self.now, self.next_free)


def write_reading(
    reading: TimedGrant, began: float, ended: float, unstated: Sequence[str]
) -> BudgetAnswer:
    """Returns the answer of a broker that worked from ``began`` to ``ended`` on its monotonic clock."""
    grant = reading.grant
    return BudgetAnswer(
        grant.now,
        max(reading.before - began, 0.0),
        max(ended - reading.after, 0.0),
        grant.next_free,
        tuple((slot.start, slot.end, slot.count) for slot in grant.slots),
        tuple(unstated),
    )


def read_answer(body: Any) -> BudgetAnswer:
    """Returns what ``write_reading`` gave.

    Raises:
        ConnectionConfigError: it is something else.
    """
    return read_value(BudgetAnswer, body)
