"""Checks of a run's records. Each one counts while records pass, and says at the end what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from msgspec import Struct

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.contracts.check_options import Checks, CheckSet
from oauth_taskflow.dates import Instant, UnreadableDate, read_instant
from oauth_taskflow.fields.members import describe_value
from oauth_taskflow.fields.paths import parse_field_path
from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.record_schema.observe import open_object, open_record

_MOST_EXAMPLES = 3


class Totals(Struct, frozen=True):
    """The figures of a run: its ``rows``, those of the run before (None: there was none), and its latest watermark.

    ``now`` is in seconds since the epoch, ``form`` how the watermark is written.
    """

    rows: int
    before: int | None = None
    latest: Any = None
    now: float = 0.0
    form: str | tuple[str, ...] = "any"


class RecordCheck(Protocol):
    """One check of single records."""

    needs_all: bool

    def look(self, record: Mapping[str, Any]) -> None:
        """Takes the undecoded fields of one record."""

    def describe(self, rows: int) -> str:
        """Returns what is wrong in ``rows`` records; empty when nothing is."""

    def save(self) -> Any:
        """Returns the counts."""

    def restore(self, state: Any) -> None:
        """Takes the counts."""


def find_value(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Returns the undecoded value at ``names``; None where it is absent or null."""
    holder: Mapping[str, Any] | None = record
    value: Any = None
    for name in names:
        if holder is None or name not in holder:
            return None
        value = holder[name]
        holder = open_object(value)
    return None if memoryview(value)[0] == ord("n") else value


class NotNull:
    """Counts records without a value."""

    needs_all = False

    def __init__(self, path: str) -> None:
        self._path, self._names = path, parse_field_path(path).names
        self._missing = 0

    def look(self, record: Mapping[str, Any]) -> None:
        """Counts the record if its field is absent or null."""
        self._missing += find_value(record, self._names) is None

    def describe(self, rows: int) -> str:
        """Names the field and the number of records."""
        text = f"not_null: {self._missing:,} of {rows:,} records have no value in {self._path!r}"
        return text if self._missing else ""

    def save(self) -> Any:
        """Returns the count."""
        return self._missing

    def restore(self, state: Any) -> None:
        """Takes the count."""
        self._missing = state


class Unique:
    """Counts values that came before; 16 bytes a value are kept."""

    needs_all = True

    def __init__(self, paths: Sequence[str]) -> None:
        self._path = ", ".join(paths)
        self._names = [parse_field_path(path).names for path in paths]
        self._seen: set[bytes] = set()
        self._values = hashlib.blake2b(digest_size=16)
        self._repeated, self._examples = 0, [""][:0]

    def look(self, record: Mapping[str, Any]) -> None:
        """Counts the record if its values came before; one without a value is unlike all others."""
        values = [find_value(record, names) for names in self._names]
        if any(value is None for value in values):
            return
        text = encode([decode(value) for value in values])
        digest = hashlib.blake2b(text, digest_size=16).digest()
        if digest in self._seen:
            self._repeated += 1
            _add_example(self._examples, values[0], self._path)
        self._seen.add(digest)
        self._values.update(digest)

    def describe(self, rows: int) -> str:
        """Names the fields, the number of records, and some values."""
        if not self._repeated:
            return ""
        return (
            f"unique: {self._repeated:,} of {rows:,} records repeat {self._path!r}"
            f"{_such_as(self._examples)}"
        )

    def save(self) -> Any:
        """Returns a digest of all values: those that are found in the records that were kept must have the same."""
        return self._values.hexdigest()

    def restore(self, state: Any) -> None:
        """Takes nothing: the values come again."""


class AcceptedValues:
    """Counts values that are not among the accepted ones."""

    needs_all = False

    def __init__(self, path: str, values: Sequence[Any]) -> None:
        self._path, self._names = path, parse_field_path(path).names
        self._accepted = {encode(value) for value in values}
        self._others, self._examples = 0, [""][:0]

    def look(self, record: Mapping[str, Any]) -> None:
        """Counts the record if its field has another value."""
        value = find_value(record, self._names)
        if (
            value is None
            or bytes(value) in self._accepted
            or encode(decode(value)) in self._accepted
        ):
            return
        self._others += 1
        _add_example(self._examples, value, self._path)

    def describe(self, rows: int) -> str:
        """Names the field, the number of records, and some values."""
        if not self._others:
            return ""
        return (
            f"accepted_values: {self._others:,} of {rows:,} records have another value in {self._path!r}"
            f"{_such_as(self._examples)}"
        )

    def save(self) -> Any:
        """Returns count and examples."""
        return [self._others, list(self._examples)]

    def restore(self, state: Any) -> None:
        """Takes count and examples."""
        self._others, self._examples = state


def _add_example(examples: list[str], value: Any, path: str) -> None:
    if len(examples) < _MOST_EXAMPLES:
        shown = describe_value(value, path)
        if shown not in examples:
            examples.append(shown)


def _such_as(examples: Sequence[str]) -> str:
    return f", such as {', '.join(examples)}" if examples else ""


class CheckRun:
    """The checks of one run of an endpoint: those that fail, and those that warn."""

    def __init__(self, options: Checks) -> None:
        warn = options.warn or CheckSet()
        self._sets: tuple[CheckSet, CheckSet] = (options, warn)
        self._checks = [list(_build(each)) for each in self._sets]
        self._all = [check for checks in self._checks for check in checks]

    @property
    def needs_all(self) -> bool:
        """Whether a check must see all records again when a pull goes on."""
        return any(check.needs_all for check in self._all)

    @property
    def looks_at_records(self) -> bool:
        """Whether there is a check of single records."""
        return bool(self._all)

    def look(self, records: Sequence[Any], *, again: bool = False) -> None:
        """Takes undecoded records; ``again`` is for those that an earlier attempt looked at.

        Raises:
            InvalidRecord: a record is a single value.
        """
        checks = [check for check in self._all if check.needs_all or not again]
        for record in records:
            fields = open_record(record)
            for check in checks:
                check.look(fields)

    def describe(self, totals: Totals, *, whole: bool = True) -> tuple[list[str], list[str]]:
        """Returns what fails, and what only warns.

        Not ``whole``: one task instance of several, so that what counts all records together is left out.
        """
        found = []
        for options, checks in zip(self._sets, self._checks, strict=True):
            texts = [check.describe(totals.rows) for check in checks]
            if whole:
                texts += describe_totals(options, totals)
            found.append([text for text in texts if text])
        return found[0], found[1]

    def save(self) -> Any:
        """Returns the counts as plain data."""
        return [check.save() for check in self._all]

    def restore(self, state: Any) -> None:
        """Takes the counts."""
        for check, saved in zip(self._all, state, strict=True):
            check.restore(saved)


def _build(options: CheckSet) -> Iterator[RecordCheck]:
    for path in options.not_null:
        yield NotNull(path)
    for paths in options.unique:
        yield Unique([paths] if isinstance(paths, str) else paths)
    for path, values in options.accepted_values.items():
        yield AcceptedValues(path, values)


def describe_totals(options: CheckSet, totals: Totals) -> list[str]:
    """Returns what is wrong with the figures of a whole run."""
    found = []
    if options.min_rows is not None and totals.rows < options.min_rows:
        found.append(
            f"min_rows: {totals.rows:,} records, and at least {options.min_rows:,} are expected"
        )
    if options.max_change is not None and totals.before is not None:
        found.append(_describe_change(options.max_change, totals.rows, totals.before))
    if options.freshness is not None:
        found.append(_describe_age(options.freshness, totals))
    return [text for text in found if text]


def _describe_change(most: float, rows: int, before: int) -> str:
    if abs(rows - before) <= most * before:
        return ""
    share = f"{abs(rows - before) / before:.1%}" if before else "all of them new"
    return f"max_change: {rows:,} records after {before:,} in the run before ({share}), and at most {most:.1%} may change"


def _describe_age(within: str, totals: Totals) -> str:
    try:
        latest: Instant = read_instant(totals.latest, totals.form)
    except UnreadableDate:
        return f"freshness: no record has a time, and one within {within} is expected"
    age = totals.now - latest.seconds
    if age <= duration_seconds(within):
        return ""
    return f"freshness: the latest record is of {latest.text}, {timedelta(seconds=round(age))} ago, and at most {within} are expected"
