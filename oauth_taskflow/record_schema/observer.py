"""Observes the schema of all records of a run, at little cost for records that are like those before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from oauth_taskflow.record_schema.generated_types import Check, build_check
from oauth_taskflow.record_schema.model import RecordSchema, unite_fields
from oauth_taskflow.record_schema.observe import observe_record

# After so many surprises another type pays. Each one costs as much as some dozen slow looks.
_FEWEST_SURPRISES = 8
# From then on twice as many each time: a schema that never settles is observed slowly.
_PLAIN_BUILDS = 64
# So many records are checked together: more of them do not fit a processor's cache.
_PART = 64


class SchemaObserver:
    """Unites the schemas of records, one after the other.

    ``schema`` is what is known before the first record; None when nothing is.
    """

    def __init__(self, schema: RecordSchema | None = None) -> None:
        self._schema = schema
        self._check: Check | None = None
        self._is_current = False
        self._surprises = 0
        self._wait = 0
        self.builds = 0

    @property
    def schema(self) -> RecordSchema:
        """The schema of the records so far."""
        return self._schema or RecordSchema()

    @property
    def known(self) -> RecordSchema | None:
        """The same; None before the first record."""
        return self._schema

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known yet."""
        return self._schema is None

    def observe(self, records: Sequence[Any]) -> None:
        """Takes the undecoded records of a page (``msgspec.Raw`` or bytes).

        Raises:
            InvalidRecord: a record is a single value or a list.
        """
        for record in self.find_surprises(records):
            self.widen(record)

    def find_surprises(self, records: Sequence[Any]) -> Iterator[Any]:
        """Yields the records of which the schema does not hold or may not hold. Widen it before the next one is asked for."""
        for start in range(0, len(records), _PART):
            yield from self._find_surprises(records[start : start + _PART])

    def _find_surprises(self, records: Sequence[Any]) -> Iterator[Any]:
        check = self._renew()
        if check is not None and check.holds(records):
            return
        if len(records) == 1:
            yield records[0]
            return
        half = len(records) // 2
        yield from self._find_surprises(records[:half])
        yield from self._find_surprises(records[half:])

    def widen(self, record: Any) -> None:
        """Unites the schema with that of one record.

        Raises:
            InvalidRecord: it is a single value or a list.
        """
        self.unite(RecordSchema(observe_record(record)))

    def unite(self, other: RecordSchema) -> None:
        """Unites the schema with ``other``."""
        known = self._schema
        if known is None:
            self._schema, self._is_current = other, False
        else:
            united = RecordSchema(unite_fields(known.fields, other.fields))
            if united != known:
                self._schema, self._is_current = united, False
        self._surprises += 1

    def _renew(self) -> Check | None:
        """Returns the check, if there is one; one of the present schema is built once it pays."""
        if self._is_current or self._schema is None or self._surprises < self._wait:
            return self._check
        self._check = build_check(self._schema.fields)
        self._is_current = True
        self._surprises = 0
        self.builds += 1
        doublings = max(0, self.builds - _PLAIN_BUILDS)
        self._wait = (_FEWEST_SURPRISES + len(self._schema.fields) // 2) << doublings
        return self._check
