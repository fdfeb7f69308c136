"""What is remembered about records on their way: keys already seen, and the watermark."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

from oauth_taskflow.api.decoders.json import compile_path, plain_keys, search_value
from oauth_taskflow.api.loops import REPEATED_PAGES, repeated_pages
from oauth_taskflow.api.missing_fields import missing_field
from oauth_taskflow.api.numbers import ExactFloat, decode, encode, json_decoder
from oauth_taskflow.errors import InvalidRecord

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?"
)
# Texts of this shape and one length are in the order of time when they are in the order of the alphabet.
_UTC = re.compile(
    r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-6]\d(?:\.\d{1,9})?Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_INTEGER = re.compile(r"-?\d+")
_EXPONENT = r"[eE][+-]?\d{1,3}"
_DECIMAL = re.compile(rf"-?\d{{1,1000}}(?:\.\d{{1,1000}}(?:{_EXPONENT})?|{_EXPONENT})")

# Kind of value, then what orders values of that kind.
Rank = tuple[str, tuple[int, ...] | int | float | Decimal]


@lru_cache(maxsize=64)
def _value_decoder(key: str) -> msgspec.json.Decoder[Any]:
    field = msgspec.field(name=key, default=None)
    return json_decoder(msgspec.defstruct("Field", [("value", Any, field)]))


def field_reader(path: str) -> Callable[[Any], Any]:
    """A function from a record, decoded or ``msgspec.Raw``, to its value at JMESPath ``path``; None when absent."""
    keys = plain_keys(path)
    compile_path(path)  # one that is none is told before the first record comes
    if keys is None or len(keys) != 1:
        return lambda record: search_value(
            decode(record) if isinstance(record, msgspec.Raw) else record, path
        )
    key, decoder = keys[0], _value_decoder(keys[0])

    def read(record: Any) -> Any:
        if isinstance(record, msgspec.Raw):
            try:
                return decoder.decode(record).value
            except msgspec.ValidationError:
                return None  # a single value has no fields
        return record.get(key) if isinstance(record, dict) else None

    return read


def column_reader(path: str) -> Callable[[Sequence[Any]], list[Any]]:
    """As ``field_reader``, for all records of a page."""
    read = field_reader(path)
    keys = plain_keys(path)
    if keys is None or len(keys) != 1:
        return lambda records: [read(record) for record in records]
    decode = _value_decoder(keys[0]).decode

    def read_all(records: Sequence[Any]) -> list[Any]:
        if records and isinstance(records[0], msgspec.Raw):
            with suppress(
                msgspec.ValidationError, TypeError
            ):  # a single value, or no Raw, in between
                return [decode(record).value for record in records]
        return [read(record) for record in records]

    return read_all


class SeenKeys:
    """Drops records whose primary key came before in the same task.

    The first to arrive stays. A key names a record within its parent: with ``across_parents``, one that came under
    another parent is a repeat only when its record is the same throughout. Only 16-byte digests are kept, about 100
    bytes of memory per record, twice that across parents.
    """

    def __init__(self, paths: Sequence[str], *, across_parents: bool = False) -> None:
        self._paths = tuple(paths)
        self._columns = [column_reader(path) for path in paths]
        # Key → the number of the page sequence that it came in last.
        self._seen: dict[bytes, int] = {}
        self._records: set[bytes] | None = set() if across_parents else None
        self._parent = self._sequence = self._repeated = self._new = 0
        self.dropped = 0

    def begin_sequence(self, parent: int) -> None:
        """The pages that follow are of another sequence, of the parent record with this number."""
        if parent != self._parent:
            self._seen.clear()
        self._parent = parent
        self._sequence += 1
        self._repeated = 0

    def unseen(self, records: Sequence[Any], *, index: int = 0, where: str = "") -> list[Any]:
        """The records of page ``index`` with keys that were not there before.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold nothing but records of earlier pages of their sequence.
        """
        keys = zip(*(read(records) for read in self._columns), strict=True)
        before = self._new
        kept = [record for record, key in zip(records, keys, strict=True) if self._add(record, key)]
        self.dropped += len(records) - len(kept)
        if records:
            self._repeated = 0 if self._new > before else self._repeated + 1
        if self._repeated >= REPEATED_PAGES:
            raise repeated_pages(index, where)
        return kept

    def _add(self, record: Any, key: tuple[Any, ...]) -> bool:
        if None in key:
            raise missing_field(
                record,
                self._paths[key.index(None)],
                "primary_key",
                "Correct primary_key, or leave it out when the API promises no key.",
            )
        text = encode(key)
        mark = hashlib.blake2b(text, digest_size=16).digest() if len(text) > 16 else text
        seen_in = self._seen.get(mark)
        if seen_in == self._sequence:
            return False
        self._new += 1
        self._seen[mark] = self._sequence
        return seen_in is None and (self._records is None or self._is_other(mark, record))

    def _is_other(self, mark: bytes, record: Any) -> bool:
        """Whether no record with this key and content came under another parent."""
        content = bytes(record) if isinstance(record, msgspec.Raw) else encode(record)
        whole = hashlib.blake2b(mark + b"\0" + content, digest_size=16).digest()
        assert self._records is not None
        is_other = whole not in self._records
        self._records.add(whole)
        return is_other


class Watermark:
    """The highest value of the incremental field, as the API wrote it: a number with more digits than a float is text.

    Values are instants (ISO 8601; no zone means UTC), numbers, or integers written as text, and of one kind
    throughout. Instants are compared to the nanosecond, integers exactly.
    """

    def __init__(self, path: str, *, missing: Literal["fail", "include"] = "fail") -> None:
        self._path = path
        self._values = column_reader(path)
        self._missing = missing
        self._rank: Rank | None = None
        self.value: str | int | float | None = None

    def see(self, records: Sequence[Any]) -> None:
        """Take in the field of every record.

        Raises:
            InvalidRecord: it is absent (unless ``missing`` is ``include``), unreadable, or of another kind.
        """
        values = self._values(records)
        if _alike(values):
            self._compare(max(values))
            return
        for record, value in zip(records, values, strict=True):
            if value is None:
                self._refuse_missing(record)
            else:
                self._compare(value)

    def _compare(self, value: Any) -> None:
        rank = _rank(value)
        if rank is None or (self._rank is not None and rank[0] != self._rank[0]):
            before = "" if self.value is None else f", after {self.value!r:.40}"
            raise InvalidRecord(
                f"The incremental field {self._path!r} is {value!r:.40}{before}",
                hint="It must be an ISO 8601 instant or a number, of one kind in all records.",
            )
        if self._rank is None or rank[1] > self._rank[1]:  # type: ignore[operator]  # one kind: checked above
            self._rank, self.value = rank, _kept(value)

    def _refuse_missing(self, record: Any) -> None:
        if self._missing == "fail":
            raise missing_field(
                record,
                self._path,
                "incremental.field",
                "Correct incremental.field, or set incremental.missing: include.",
            )


def _alike(values: list[Any]) -> bool:
    """Whether the highest of ``values`` can be told without taking each apart: the usual case by far."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return len(set(map(len, values))) == 1 and all(map(_UTC.fullmatch, values))
    return kinds == {int}


def _kept(value: Any) -> str | int | float:
    if not isinstance(value, ExactFloat):
        kept: str | int | float = value
        return kept
    number = float(value)
    return number if Decimal(repr(number)) == value.decimal else value.text


def _rank(value: Any) -> Rank | None:
    if isinstance(value, str):
        return _text_rank(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "number", value.decimal if isinstance(value, ExactFloat) else value


def _text_rank(text: str) -> Rank | None:
    if _DECIMAL.fullmatch(text):
        return "number", Decimal(text)
    if _INTEGER.fullmatch(text):
        return "integer text", int(text)
    match = _INSTANT.fullmatch(text)
    return None if match is None else _instant_rank(match)


def _instant_rank(match: re.Match[str]) -> Rank | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    # Seconds are added, not set: 60 is a leap second.
    since = local + timedelta(seconds=int(second or 0)) - _EPOCH - _zone_offset(zone)
    seconds = since.days * 86_400 + since.seconds
    return "instant", (seconds, int((fraction or "").ljust(9, "0")))


def _zone_offset(zone: str | None) -> timedelta:
    if zone is None or zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return offset if zone[0] == "+" else -offset
