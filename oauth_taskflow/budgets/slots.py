"""Gives out slots: the right to send requests within short times, within every budget that applies. Pure decisions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from oauth_taskflow.budgets.ledger import FARTHEST, Book, Ledger, Window

# A worker takes slots ahead for this long: a little more than the time between two of its questions, in seconds.
AHEAD = 1.2
# A slot that ends sooner would be missed.
_SHORTEST_SLOT = 0.1
# Answers that take longer to come back, in seconds, would miss the slots that begin at once.
_LONG_LAG = 0.02
_STEP = 1e-6  # beyond the precision of instants, so that each step leaves a cell


class Charge(Struct, frozen=True):
    """A budget that a request counts in, and how many of its units the request costs."""

    window: Window
    cost: float = 1.0


class Slot(Struct):
    """``count`` requests may be sent from ``start`` to ``end``, by the database's clock."""

    start: float
    end: float
    count: int

    @property
    def middle(self) -> float:
        """An instant that is in the same cell of every budget, whatever was rounded."""
        return (self.start + self.end) / 2


class Ask(Struct, frozen=True):
    """One worker's question.

    Args:
        charges: the budgets that a request counts in, and its cost in each.
        worker: names the asking process.
        demand: requests that wait now.
        spare: requests that will probably follow within a second.
        returned: slots that were not used.
        latest: seconds from now that a slot may begin.
        hold: the keys of the budgets to hold, and for how many seconds from now.
        lag: seconds until the answer has come back; no slot begins sooner if that is long.
        turn: the number of the question, which grows, where it may be repeated on its way: slots are returned once.
    """

    charges: tuple[Charge, ...]
    worker: str
    demand: int = 1
    spare: int = 0
    returned: tuple[Slot, ...] = ()
    latest: float = FARTHEST
    hold: tuple[frozenset[str], float] | None = None
    lag: float = 0.0
    turn: int = 0


class Grant(Struct, frozen=True):
    """The answer: ``slots`` in order of time, the database's ``now``, and when a slot is free that was not given."""

    slots: tuple[Slot, ...]
    now: float
    next_free: float | None = None


def grant_slots(ask: Ask, ledgers: Sequence[Ledger], now: float) -> Grant:
    """Answers ``ask`` and changes ``ledgers``, which are those of its charges in order."""
    books = [
        Book(charge.window, charge.cost, ledger, now)
        for charge, ledger in zip(ask.charges, ledgers, strict=True)
    ]
    for book in books:
        for slot in ask.returned if book.note_turn(ask.worker, ask.turn, now) else ():
            book.refund(slot.middle, slot.count)
        if ask.hold is not None and book.window.key in ask.hold[0]:
            book.ledger.held_until = max(book.ledger.held_until, now + ask.hold[1])
        if ask.demand:
            book.ledger.seen[ask.worker] = now
        elif ask.hold is None:  # it gave everything back
            book.ledger.seen.pop(ask.worker, None)
    first = now + ask.lag if ask.lag >= _LONG_LAG else now
    begin = max([first, *(book.ledger.held_until for book in books)])
    slots: list[Slot] = []
    next_free = _serve_demand(ask, books, begin, now, slots)
    if ask.demand and next_free is None and slots[-1].start <= now + AHEAD:
        _serve_spare(ask.spare, books, begin, now + AHEAD, slots)
    return Grant(tuple(sorted(slots, key=lambda slot: slot.start)), now, next_free)


def _serve_demand(
    ask: Ask, books: Sequence[Book], begin: float, now: float, slots: list[Slot]
) -> float | None:
    """Gives each waiting request the first slot there is; returns when the first one is free that is too late."""
    left = ask.demand
    at = begin
    while left > 0:
        slot = _find_slot(books, at, now + max(FARTHEST, begin - now) + _longest(books))
        if slot is None or slot.start > now + ask.latest:
            return slot.start if slot is not None else at + _longest(books)
        slot.count = min(slot.count, left)
        _charge(books, slot)
        slots.append(slot)
        left -= slot.count
        at = slot.start
    return None


def _serve_spare(
    spare: int, books: Sequence[Book], at: float, until: float, slots: list[Slot]
) -> None:
    """Spreads slots for requests to come over the coming second; a burst at once would not be used in time."""
    left = min([spare, *(book.count_spare(AHEAD) for book in books)])
    cell = min(book.window.cell for book in books)
    while left > 0 and at < until:
        slot = _find_slot(books, at, until)
        if slot is None:
            return
        cells_left = max(1, round((until - slot.start) / cell))
        slot.count = min(slot.count, -(-left // cells_left))
        _charge(books, slot)
        slots.append(slot)
        left -= slot.count
        at = slot.end + _STEP


def _find_slot(books: Sequence[Book], at: float, latest: float) -> Slot | None:
    """The first slot from ``at`` to ``latest`` with room in every budget, and how many requests it has room for."""
    while at <= latest:
        cells = [book.cell_at(at) for book in books]
        begins = [
            _find_free(book, cell, at, latest) for book, cell in zip(books, cells, strict=True)
        ]
        if None in begins:
            return None
        begin = max(one for one in begins if one is not None)
        if begin > at:
            at = begin + _STEP
            continue
        end = min(book.start_of(cell + 1) for book, cell in zip(books, cells, strict=True))
        if end - at < min(_SHORTEST_SLOT, min(book.window.cell for book in books) / 2):
            at = end + _STEP
            continue
        count = min(book.count_free(cell) for book, cell in zip(books, cells, strict=True))
        return Slot(at, end, count)
    return None


def _find_free(book: Book, cell: int, at: float, latest: float) -> float | None:
    """When ``book`` has room: ``at``, the begin of a later cell, or None."""
    found = book.find_free(cell, book.cell_at(latest))
    if found is None:
        return None
    return at if found == cell else book.start_of(found)


def _charge(books: Sequence[Book], slot: Slot) -> None:
    for book in books:
        book.charge(book.cell_at(slot.middle), slot.count)


def _longest(books: Sequence[Book]) -> float:
    return max(2 * book.window.per for book in books)
