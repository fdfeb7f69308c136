"""The record of one budget: how much of it was given out when. Pure values; all instants are the database's clock.

Time is cut into cells. Two requests whose cells lie ``span`` or more apart are sent more than the period and the guard
apart, wherever in their cells they are sent. Any ``span`` cells in a row therefore hold at most the budget.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

# Cells in a period, by its length in seconds: more of them use the budget better, but a worker must hit each one.
_CELLS = ((5.0, 16), (600.0, 32))
_CELLS_OF_LONG_PERIODS = 64
_NARROWEST_CELL = 0.01
# The spread of the time that requests take to the server, as a share of the period, and its bounds in seconds.
_GUARD, _SHORTEST_GUARD, _LONGEST_GUARD = 0.1, 0.02, 1.0
# Workers that asked this recently share what is left.
_ACTIVE_SECONDS = 3.0
# Slots are given out this far ahead; later ones stem from a clock that was wrong.
FARTHEST = 3600.0
_LONGEST_HOLD = 32 * 86400.0
MOST_SLACK = 1.0
"""A worker that knows the database's clock less well than that, in seconds, gets no slots."""
_ROUNDED_SLACK = 1.024
_ROUNDING = 1e-9


# A question that was repeated on its way arrives within this many seconds of its first copy.
_TURN_SECONDS = 300.0


class Window(Struct, frozen=True):
    """One budget: at most ``requests`` units in any ``per`` seconds. ``key`` names its ledger, ``label`` is for people.

    ``slack`` is how far the asking worker's idea of the database's clock may be off, in seconds.
    """

    key: str
    label: str
    requests: float
    per: float
    slack: float = 0.0

    @property
    def cell(self) -> float:
        """The length of a cell in seconds."""
        fitting = (cells for below, cells in _CELLS if self.per < below)
        cells = next(fitting, _CELLS_OF_LONG_PERIODS)
        return max(self.per / cells, _NARROWEST_CELL)

    @property
    def guard(self) -> float:
        """Seconds that are left free after each period, because requests do not all take equally long to the server.

        One of two requests may be sent too early by the slack, and the other too late.
        """
        return min(max(self.per * _GUARD, _SHORTEST_GUARD), _LONGEST_GUARD) + 2 * self.slack

    @property
    def span(self) -> int:
        """The number of successive cells that together hold at most the budget."""
        return 1 + math.ceil((self.per + self.guard) / self.cell - _ROUNDING)


class Ledger(Struct):
    """The requests that were given out of one budget.

    ``used`` maps the number of a cell, counted from ``anchor``, to the units given out in it. No request starts before
    ``held_until``. ``seen`` maps each active worker to when it last asked, ``turns`` each worker whose questions may be
    repeated on their way to the number of its last one, and when that was. ``slacks`` maps milliseconds to the instant until
    which requests count that may have been sent so far outside of their cells.
    """

    anchor: float = 0.0
    used: dict[int, float] = field(default_factory=dict)
    held_until: float = 0.0
    seen: dict[str, float] = field(default_factory=dict)
    turns: dict[str, tuple[int, float]] = field(default_factory=dict)
    slacks: dict[int, float] = field(default_factory=dict)

    @classmethod
    def decode(cls, text: str) -> Ledger:
        """The ledger in ``text``; an empty one for empty text."""
        return msgspec.json.decode(text, type=cls) if text else cls()

    def encode(self) -> str:
        """This ledger as text."""
        return msgspec.json.encode(self).decode()


class Book:
    """The ledger of one window at one instant, and what one request costs of it."""

    def __init__(self, window: Window, cost: float, ledger: Ledger, now: float) -> None:
        ledger.slacks = {slack: until for slack, until in ledger.slacks.items() if now < until}
        # Twice as long each: a ledger knows a few of them.
        self._slack = 1 << math.ceil(window.slack * 1000 - 1).bit_length() if window.slack else 0
        # This worker keeps its distance from the requests of those who know the clock less well.
        slack = max(self._slack, *ledger.slacks, 0) / 1000
        self.window, self.cost, self.ledger = replace(window, slack=slack), cost, ledger
        self._cell, self._span = self.window.cell, self.window.span
        self._forget_past(now)

    def _forget_past(self, now: float) -> None:
        ledger = self.ledger
        # The next worker may know the clock less well, and keep a longer distance.
        first = self.cell_at(now) - replace(self.window, slack=_ROUNDED_SLACK).span + 1
        last = self.cell_at(now + FARTHEST + 2 * self.window.per)
        ledger.used = {
            cell: units
            for cell, units in ledger.used.items()
            if first <= cell <= last and units > 0
        }
        if not ledger.used:
            ledger.anchor = now  # so that the first cell is a whole one
        ledger.seen = {
            worker: at for worker, at in ledger.seen.items() if abs(now - at) < _ACTIVE_SECONDS
        }
        ledger.turns = {
            worker: turn
            for worker, turn in ledger.turns.items()
            if abs(now - turn[1]) < _TURN_SECONDS
        }
        if ledger.held_until > now + _LONGEST_HOLD:
            ledger.held_until = 0.0

    def note_turn(self, worker: str, turn: int, now: float) -> bool:
        """Whether question ``turn`` of ``worker`` comes for the first time; 0 is a question that nothing repeats."""
        if not turn:
            return True
        is_new = turn > self.ledger.turns.get(worker, (0, 0.0))[0]
        if is_new:
            self.ledger.turns[worker] = turn, now
        return is_new

    def cell_at(self, instant: float) -> int:
        """The number of the cell that ``instant`` lies in."""
        return math.floor((instant - self.ledger.anchor) / self._cell + _ROUNDING)

    def start_of(self, cell: int) -> float:
        """When ``cell`` begins."""
        return self.ledger.anchor + cell * self._cell

    def count_free(self, cell: int) -> int:
        """How many requests ``cell`` has room for."""
        worst, _ = self._find_fullest(cell)
        return max(0, math.floor((self.window.requests - worst) / self.cost + _ROUNDING))

    def find_free(self, cell: int, last: int) -> int | None:
        """The first cell from ``cell`` to ``last`` with room for a request; None if all are full."""
        while cell <= last:
            _, blocking = self._find_fullest(cell)
            if blocking is None:
                return cell
            cell = blocking + self._span
        return None

    def _find_fullest(self, cell: int) -> tuple[float, int | None]:
        """The units in the fullest run of cells around ``cell``, and where the last run without room begins."""
        used, span = self.ledger.used, self._span
        most = self.window.requests - self.cost + _ROUNDING
        units = sum(used.get(one, 0.0) for one in range(cell - span + 1, cell + 1))
        worst, blocking = units, cell - span + 1 if units > most else None
        for begin in range(cell - span + 2, cell + 1):
            units += used.get(begin + span - 1, 0.0) - used.get(begin - 1, 0.0)
            worst = max(worst, units)
            if units > most:
                blocking = begin
        return worst, blocking

    def charge(self, cell: int, count: int) -> None:
        """Note that ``count`` requests may be sent in ``cell``."""
        self.ledger.used[cell] = self.ledger.used.get(cell, 0.0) + count * self.cost
        if self._slack:
            slacks, end = self.ledger.slacks, self.start_of(cell + self._span + 1)
            slacks[self._slack] = max(slacks.get(self._slack, end), end)

    def refund(self, instant: float, count: int) -> None:
        """Note that ``count`` requests were not sent in the cell of ``instant``."""
        cell = self.cell_at(instant)
        if cell in self.ledger.used:
            self.ledger.used[cell] = max(0.0, self.ledger.used[cell] - count * self.cost)

    def count_spare(self, seconds: float) -> int:
        """How many requests one of the active workers may take ahead for the coming ``seconds``.

        A killed worker loses what it took ahead for a period, so that is a small part of a large budget.
        """
        whole = self.window.requests / self.cost
        share = min(whole, max(16.0, whole * seconds / self.window.per, whole / 32))
        return math.floor(share / max(1, len(self.ledger.seen)))
