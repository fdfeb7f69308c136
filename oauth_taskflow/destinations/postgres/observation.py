"""The types of the fields of a table: a declared type counts, as far as it takes the values; the others are observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oauth_taskflow.errors import DestinationError, InvalidRecord
from oauth_taskflow.record_schema.model import FieldType, RecordSchema, unite_types
from oauth_taskflow.record_schema.observer import SchemaObserver

# Declared kinds, and the kinds of values that they take besides.
_TAKES = {
    "number": {"integer"},
    "decimal": {"integer", "number"},
    "fixed": {"integer", "number", "decimal"},
    "date": {"text"},
    "timestamp": {"text"},
    "json": {"boolean", "integer", "number", "decimal", "fixed", "text", "list", "object"},
}


class Observation:
    """The fields that came so far, and those that are declared."""

    def __init__(self, declared: RecordSchema | None, where: str) -> None:
        self._declared = declared.fields if declared is not None else {}
        self._observer = SchemaObserver()
        self._where = where

    @property
    def seen(self) -> Mapping[str, FieldType]:
        """The fields of the records."""
        return self._observer.schema.fields

    @property
    def fields(self) -> dict[str, FieldType]:
        """The fields of the table, those that are declared first."""
        united = dict(self._declared)
        for name, seen in self.seen.items():
            known = united.get(name)
            united[name] = seen if known is None else _fit(known, seen)
        return united

    def add(self, records: Sequence[bytes], first: int) -> None:
        """Notes the types of undecoded ``records``; ``first`` is the number of the first one.

        Raises:
            DestinationError: a record is not an object.
        """
        try:
            self._observer.observe(records)
        except InvalidRecord as error:
            numbers = (n for n, record in enumerate(records, first + 1) if record[:1] != b"{")
            raise DestinationError(
                f"Record {next(numbers, first + 1)} is not an object, and layout columns needs objects",
                where=f"at {self._where}",
                hint="Write layout: raw, or records that select objects.",
            ) from error

    def unite(self, fields: dict[str, FieldType]) -> None:
        """Adds the types that an earlier attempt saw."""
        self._observer.unite(RecordSchema(fields))


def _fit(declared: FieldType, seen: FieldType) -> FieldType:
    takes = {declared.kind, "null"} | _TAKES.get(declared.kind, set())
    return declared if seen.kind in takes and not seen.wide else unite_types(declared, seen)
