"""How far a run by stored watermark came in one partition: below this value, no record that changes meanwhile is left unread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from oauth_taskflow.api.pull.watermark import Watermark, rank_value
from oauth_taskflow.dates import is_empty_date
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.watermarks.state import MOST_AT_VALUE, Value, fingerprint

_UNORDERED = (
    "The pages are not in the order of incremental.field, so the next run begins at the highest value of the first page and "
    "reads again what is above it. Sort by this field if the API can."
)
_ALL_LATER = (
    "All values of incremental.field are later than the moment of the run, so the watermark did not move, and the next run reads "
    "the same records. Check that the field is the time of a change, and the clock of this machine."
)


class Reach:
    """The value at which the next run begins, and fingerprints of the records that have it.

    A record may change once its page was read, while a later page already shows values above its new one. So an instant
    counts up to the run's own ``moment`` alone. It is one that was seen, not the moment itself: an API that writes whole
    seconds, or days, gives a change after the moment a value before it, but none before a value that it wrote.

    A number has no such moment. It counts as long as the pages come in its order: then a record that changes is still to
    come. Otherwise the highest value of the first page counts, because what changes later gets a higher one.
    """

    def __init__(self, options: Incremental, moment: datetime) -> None:
        assert options.field is not None
        missing, form = options.missing, options.field_format
        self._page, self._highest, self._counted = (
            Watermark(options.field, missing=missing, form=form) for _ in range(3)
        )
        limit = rank_value(moment.astimezone(timezone.utc).isoformat())
        assert limit is not None
        self._limit: Any = limit[1]
        self._is_ordered = True
        self._marks: list[str] = []
        # Those of the first page that has values.
        self._first: Value | None = None
        self._first_marks: list[str] = []

    @property
    def value(self) -> Value | None:
        """The value at which the next run begins, as the API wrote it; None where nothing counts."""
        return self._counted.value if self._is_ordered else self._first

    @property
    def marks(self) -> list[str]:
        """Fingerprints of the records with ``value``, equal ones as often as they came."""
        return self._marks if self._is_ordered else self._first_marks

    def describe_rest(self) -> str | None:
        """Returns a warning where records come again in the next run although none of them changed; None otherwise."""
        highest = self._highest.value
        if not self._is_ordered:
            return None if highest == self.value else _UNORDERED
        return _ALL_LATER if self.value is None and highest is not None else None

    def add(self, records: Sequence[Any], volatile: frozenset[str]) -> list[Any]:
        """Takes a page, and returns the values of its records; ``volatile`` as in ``fingerprint``.

        Raises:
            InvalidRecord: the field is absent, unreadable or of another kind.
        """
        self._page.clear()
        values = self._page.update(records)
        if self._page.value is None:
            return values
        self._highest.restore(self._page.value)
        before, is_first = self._counted.value, self._first is None
        self._first = self._page.value if is_first else self._first
        if self._page.is_instant:
            self._count_instants(values)
        else:
            self._count_numbers(values)
        if self._counted.value != before:
            self._marks.clear()
        self._mark(records, values, volatile)
        if is_first:
            self._first_marks = [*self._marks]
        return values

    def _count_instants(self, values: Sequence[Any]) -> None:
        if self._page.key <= self._limit:
            self._counted.restore(self._page.value)
            return
        for value in values:
            if not is_empty_date(value) and self._read_key(value) <= self._limit:
                self._counted.restore(value)

    def _count_numbers(self, values: Sequence[Any]) -> None:
        highest, before = self._page.value, self._counted.key
        keys = self._read_keys(values)
        upwards = sorted(keys)
        self._is_ordered = (
            self._is_ordered
            and keys in (upwards, upwards[::-1])
            and (before is None or upwards[0] >= before)
        )
        self._counted.restore(highest)

    def _read_keys(self, values: Sequence[Any]) -> list[Any]:
        if set(map(type, values)) == {int}:  # by far the usual case
            return list(values)
        return [self._read_key(value) for value in values if not is_empty_date(value)]

    def _read_key(self, value: Any) -> Any:
        self._page.clear()
        self._page.restore(value)
        return self._page.key

    def _mark(
        self, records: Sequence[Any], values: Sequence[Any], volatile: frozenset[str]
    ) -> None:
        counted = self._counted.value
        if counted is None:
            return
        for record, value in zip(records, values, strict=True):
            if value == counted and len(self._marks) <= MOST_AT_VALUE:
                self._marks.append(fingerprint(record, volatile))

    def save(self) -> str:
        """Returns what ``restore`` takes: JSON, whose integers have any number of digits."""
        return json.dumps(
            [
                *(self._highest.value, self._counted.value, self._first),
                *(self._marks, self._first_marks, self._is_ordered),
            ]
        )

    def restore(self, saved: str) -> None:
        """Takes the pages that an attempt before read.

        Raises:
            InvalidRecord: a value is unreadable.
            ValueError: it is damaged.
        """
        highest, counted, self._first, *marks, self._is_ordered = json.loads(saved)
        self._marks, self._first_marks = marks
        self._highest.restore(highest)
        self._counted.restore(counted)
