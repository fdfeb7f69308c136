"""Holds records to a contract: most are checked by compiled code, the others value by value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from oauth_taskflow.contracts.fitting import Difference, Fitter
from oauth_taskflow.contracts.options import Contract
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.members import describe_value
from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from oauth_taskflow.record_schema.observe import open_record
from oauth_taskflow.record_schema.observer import SchemaObserver

_MOST_NAMED = 100


class Rejected(NamedTuple):
    """A record that a contract leaves out, undecoded, the reason, and the path of the field."""

    record: Any
    reason: str
    path: str


class _Rejection(Exception):
    """The record goes, because of a difference."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.describe())
        self.path = difference.path


class Enforcement:
    """Holds the records of one run to ``contract``.

    ``given`` is its schema, if it has one. Values of ``protected`` fields (keys, the incremental field) are never left out:
    a record in which one of them would be fails. ``rejected`` has the records that the
    last page lost, and no others: there may be any number.
    """

    def __init__(
        self,
        contract: Contract,
        given: RecordSchema | None,
        protected: Collection[str] = (),
    ) -> None:
        if given is not None and contract.types == "discard_value":
            given = RecordSchema(_make_nullable(given.fields))
        self._contract = contract
        self._observer = SchemaObserver(given)
        self._protected = frozenset(protected)
        self._fitter = Fitter(self._decide)
        self._saved: tuple[RecordSchema | None, Any] = (None, None)
        self.discarded: dict[str, int] = {}
        self._left_out: list[str] = []
        self.rejected: list[Rejected] = []
        self.rejected_count = 0

    @property
    def schema(self) -> RecordSchema:
        """The schema of the records that were handed on."""
        return self._observer.schema

    def take(self, records: Sequence[Any], url: str) -> list[Any]:
        """Returns the undecoded records that go on, as they are but for values left out.

        Raises:
            InvalidRecord: a record breaks a frozen contract, or is not a mapping.
        """
        self.rejected = []
        if self._contract.columns == self._contract.types == "evolve":
            kept = list(records)
            self._observe(kept, url)
            return kept
        return self._sort_out(records, url)

    def _observe(self, records: list[Any], url: str) -> None:
        position = 0
        for record in self._observer.find_surprises(records):
            while records[position] is not record:
                position += 1
            try:
                self._fit(record)
            except InvalidRecord as error:
                error.where = f"in record {position + 1} of the page at {url}"
                raise

    def _fit(self, record: Any) -> Any:
        fields = open_record(record)
        self._left_out.clear()
        if self._observer.is_empty:
            self._observer.widen(record)
            return None
        try:
            types, changed = self._fitter.fit(fields, self._observer.schema.fields)
        except (ValueError, RecursionError) as error:
            raise InvalidRecord("A record is not readable as JSON, or nested too deeply") from error
        for path in self._left_out:  # only now: a record that is rejected loses no value
            self._count(path)
        self._observer.unite(RecordSchema(types))
        return changed

    def _sort_out(self, records: Sequence[Any], url: str) -> list[Any]:
        kept = list(records)
        gone: list[int] = []
        position = -1
        surprises = self._observer.find_surprises(records)
        for record in surprises:
            position += 1
            while records[position] is not record:
                position += 1
            try:
                changed = self._fit(record)
            except _Rejection as rejection:
                self.rejected.append(Rejected(record, str(rejection), rejection.path))
                self.rejected_count += 1
                gone.append(position)
                continue
            except InvalidRecord as error:
                error.where = f"in record {position + 1} of the page at {url}"
                raise
            if changed is not None:
                kept[position] = changed
        for each in reversed(gone):
            del kept[each]
        return kept

    def _decide(self, difference: Difference) -> bool:
        mode = self._contract.columns if difference.is_column else self._contract.types
        if mode == "evolve":
            return True
        if mode == "discard_row":
            raise _Rejection(difference)
        if mode == "freeze" or difference.path in self._protected:
            raise self._failure(difference, mode)
        self._left_out.append(difference.path)
        return False

    def _count(self, path: str) -> None:
        if path not in self.discarded and len(self.discarded) >= _MOST_NAMED:
            path = "…"
        self.discarded[path] = self.discarded.get(path, 0) + 1

    def _failure(self, difference: Difference, mode: str) -> InvalidRecord:
        shown = ""
        if difference.found is not None and difference.found.kind not in {"list", "object", "null"}:
            value = describe_value(_as_raw(difference.value), difference.path)
            shown = f": {value}"
        why = (
            "The contract is frozen"
            if mode == "freeze"
            else "A key or change time cannot be left out"
        )
        key = "columns" if difference.is_column else "types"
        return InvalidRecord(
            f"{why}, and {difference.describe()}{shown}",
            hint=f"If the API changed for good, correct contract.schema; contract.{key} says what such a record does.",
        )

    def warnings(self) -> list[str]:
        """Returns what was left out, in words."""
        found = [
            f"contract: {count:,} values of {path!r} were left out, since the schema does not have them so."
            for path, count in self.discarded.items()
        ]
        if self.rejected_count:
            found.append(
                f"contract: {self.rejected_count:,} records were left out, since they are not as the schema says."
            )
        return found

    def save(self) -> Any:
        """Returns schema and counts as plain data."""
        schema = self._observer.known
        if self._saved[0] is not schema:
            plain = None if schema is None else schema_to_json(schema)
            self._saved = (schema, plain)
        return [self._saved[1], dict(self.discarded), self.rejected_count]

    def restore(self, state: Any) -> None:
        """Takes what ``save`` returned.

        Raises:
            ValueError: it is damaged.
        """
        document, discarded, self.rejected_count = state
        self._observer = SchemaObserver(None if document is None else schema_from_json(document))
        self.discarded = dict(discarded)


def _as_raw(value: Any) -> Any:
    return value if isinstance(value, msgspec.Raw) else msgspec.Raw(bytes(value))


def _make_nullable(fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Returns the fields so that each of them, at any depth, may be left out."""
    return {name: _loosen(kind, nullable=True) for name, kind in fields.items()}


def _loosen(kind: FieldType, *, nullable: bool) -> FieldType:
    item = None if kind.item is None else _loosen(kind.item, nullable=kind.item.nullable)
    return replace(kind, nullable=nullable, item=item, fields=_make_nullable(kind.fields))
