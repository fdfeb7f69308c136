"""The state of one watermark, and how it moves: only forwards, and only from where a run began to read."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.api.pull.watermark import Rank, build_rank_reader, rank_value
from oauth_taskflow.dates import Instant, UnreadableDate
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.reading import read_as

# Fingerprints of records at one value; with more of them, the next run reads these records once more.
MOST_AT_VALUE = 200
_HINT = (
    "The stored watermark is of another kind: if incremental.field was changed, drop it with "
    "airflow oauth watermark reset."
)

Value = str | int | float


class WatermarkState(Struct, frozen=True, omit_defaults=True):
    """How far one partition of an endpoint was read.

    Args:
        value: the highest value of the incremental field: an instant in RFC 3339, or a number as the API wrote it.
        cursor: the API's own cursor, for a source that has one.
        at_value: fingerprints of the records with exactly ``value``, equal ones as often as they came; an inclusive lower
            bound returns them again.
    """

    value: Value | None = None
    cursor: str | None = None
    at_value: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known, so that reading begins at the start."""
        return self.value is None and self.cursor is None

    def to_text(self) -> str:
        """Returns the state as JSON; integers keep all their digits."""
        return json.dumps(self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """Returns the state as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_text(cls, text: str) -> WatermarkState:
        """Reads what ``to_text`` wrote."""
        return cls.from_plain(json.loads(text))

    @classmethod
    def from_plain(cls, plain: Any) -> WatermarkState:
        """Reads what ``to_plain`` gave."""
        return read_as(cls, plain)


NOTHING = WatermarkState()


class Move(Struct, frozen=True):
    """One partition of a run: its canonical JSON, where the run began to read, and how far it read."""

    partition: str
    base: WatermarkState
    reached: WatermarkState

    def to_plain(self) -> dict[str, Any]:
        """Returns the move as it stands in a manifest."""
        return {
            "partition": json.loads(self.partition) if self.partition else None,
            "from": self.base.to_plain(),
            "to": self.reached.to_plain(),
        }


def advance(stored: WatermarkState, move: Move) -> WatermarkState:
    """Returns ``stored`` after ``move``: the higher value, and the cursor only if the run began at the stored one.

    A run that began above ``stored`` moves nothing: what lies between them was set back, so that a later run reads it.

    Raises:
        InvalidRecord: the values cannot be compared.
    """
    if _is_below(stored.value, move.base.value):
        return stored
    value, at_value = _higher(stored, move.reached)
    cursor = stored.cursor
    if move.reached.cursor is not None and stored.cursor == move.base.cursor:
        cursor = move.reached.cursor
    return WatermarkState(value, cursor, at_value)


def _is_below(one: Value | None, other: Value | None) -> bool:
    if one is None or other is None:
        return one is None and other is not None
    return compare(one, other) < 0


def set_back(stored: WatermarkState, base: WatermarkState, *, is_own: bool) -> WatermarkState:
    """Returns ``stored`` so that all is read again which a run read from ``base`` on; never above ``stored``.

    ``is_own`` says that this run was the last to move it. Cursors have no order: after a move of another run nothing is
    known to be below both, and reading begins at the start. So it does for values of several kinds.
    """
    if stored == base:
        return stored
    if stored.cursor is not None or base.cursor is not None:
        return base if is_own else NOTHING
    try:
        if _is_below(stored.value, base.value):
            return stored
        if stored.value == base.value:
            both = Counter(stored.at_value) & Counter(base.at_value)
            return WatermarkState(base.value, None, keep_some(both.elements()))
    except InvalidRecord:
        return NOTHING
    return base


def _higher(stored: WatermarkState, seen: WatermarkState) -> tuple[Value | None, tuple[str, ...]]:
    if seen.value is None:
        return stored.value, stored.at_value
    if stored.value is None:
        return seen.value, seen.at_value
    order = compare(seen.value, stored.value)
    if order == 0:
        return stored.value, _unite(stored.at_value, seen.at_value)
    higher = seen if order > 0 else stored
    return higher.value, higher.at_value


def _unite(stored: Iterable[str], seen: Iterable[str]) -> tuple[str, ...]:
    """The fingerprints of both; what was stored is a part of what was seen, unless it was deleted."""
    return keep_some((Counter(stored) | Counter(seen)).elements())


def keep_some(marks: Iterable[str]) -> tuple[str, ...]:
    """Returns the fingerprints sorted; none when there are too many to keep."""
    known = sorted(marks)
    return tuple(known) if len(known) <= MOST_AT_VALUE else ()


def compare(one: Value, other: Value) -> int:
    """Returns 1, 0 or -1: ``one`` is above, equal to or below ``other``.

    Raises:
        InvalidRecord: they are of different kinds, or unreadable.
    """
    left, right = _rank(one), _rank(other)
    if left is None or right is None or left[0] != right[0]:
        raise InvalidRecord(
            f"The watermarks {one!r:.60} and {other!r:.60} cannot be compared", hint=_HINT
        )
    above: Any = left[1]
    return int(above > right[1]) - int(above < right[1])


def _rank(value: Value) -> Rank | None:
    try:
        return rank_value(value)
    except UnreadableDate:
        return None


def is_instant(value: Value | None) -> bool:
    """Whether a stored value is an instant, not a number."""
    return value is not None and (_rank(value) or ("",))[0] == "instant"


def to_stored(value: Any, form: str | Sequence[str] | None = None) -> Value | None:
    """Returns a value of the incremental field as it is stored: an instant as RFC 3339, whatever form the API has.

    Raises:
        UnreadableDate: it is not an instant of ``form``.
    """
    rank = None if value is None else build_rank_reader(form)(value)
    if rank is None:
        return None
    stored: Value = Instant(*rank[1]).text if rank[0] == "instant" else value  # type: ignore[misc]  # its shape
    return stored


def find_lowest(states: Iterable[WatermarkState]) -> WatermarkState:
    """Returns the roll-up of partitions: the lowest value, nothing while one of them has none. Cursors have no order.

    Raises:
        InvalidRecord: the values cannot be compared.
    """
    lowest: Value | None = None
    for state in states:
        if state.value is None:
            return NOTHING
        if lowest is None or compare(state.value, lowest) < 0:
            lowest = state.value
    return WatermarkState(lowest)


def fingerprint(record: Any, volatile: frozenset[str] = frozenset()) -> str:
    """Returns a hash of a record's content, undecoded or decoded.

    ``volatile`` are the names of fields that differ from run to run, in lower case without ``_``; they are left out.
    """
    if volatile:
        record = msgspec.json.decode(record) if isinstance(record, msgspec.Raw) else record
        items = record.items() if isinstance(record, dict) else ()
        record = {
            name: value for name, value in items if name.lower().replace("_", "") not in volatile
        }
    raw = bytes(record) if isinstance(record, msgspec.Raw) else _encode(record)
    return hashlib.sha256(raw).hexdigest()[:24]


def _encode(record: Any) -> bytes:
    return json.dumps(record, sort_keys=True, default=str).encode()
