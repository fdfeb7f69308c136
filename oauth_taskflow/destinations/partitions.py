"""Partitions of an output: the folder that a record belongs to, in Hive's style ``country=de/created_at_day=2026-01-31``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Literal

import msgspec

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.dates import UnreadableDate, is_empty_date, read_instant
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.types import Options, doc

# Hive's, Spark's and Arrow's name for the partition of records without a value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# The longest name of a folder on common disks, in bytes.
_LONGEST = 255
# The characters that Hive and Spark write as %XX, and NUL; others stay, in UTF-8.
_ESCAPED = re.compile("[\x00-\x1f\x7f\"#%'*/:=?\\\\{}\\[\\]^]")
LABEL = r"^[A-Za-z_][\w-]*$"
_LENGTHS = {"year": 4, "month": 7, "day": 10, "hour": 13}

FieldName = Annotated[
    str, doc("A field, or one within objects.", "address.country", pattern=r"^[^.]+(\.[^.]+)*$")
]

FolderName = Annotated[str, doc("Before the equals sign.", "day", pattern=LABEL)]


class FieldPartition(Options, frozen=True, kw_only=True):
    """One level of folders, named after a value of each record."""

    field: FieldName
    by: Annotated[
        Literal["year", "month", "day", "hour"] | None,
        doc("Takes the field for a date, and this much of it in UTC.", "day"),
    ] = None
    name: Annotated[
        FolderName | None,
        doc(
            "Name of the folders; without it the field's last name, and `_day` or the like.",
            "created_day",
        ),
    ] = None

    @property
    def label(self) -> str:
        """The name before the equals sign."""
        last = self.field.rpartition(".")[2]
        return self.name or (f"{last}_{self.by}" if self.by else last)


def as_partition(option: str | FieldPartition) -> FieldPartition:
    """Returns a level that a spec gives by its field alone in the long form."""
    return FieldPartition(field=option) if isinstance(option, str) else option


class Partition(msgspec.Struct, frozen=True):
    """A folder below that of the run, and the values that its records have; None for no value."""

    folder: str
    values: Mapping[str, str | None]


class Partitioner:
    """Finds the partition of each record."""

    def __init__(self, levels: Sequence[FieldPartition]) -> None:
        self._levels = levels
        self._paths = [level.field.split(".") for level in levels]
        self._labels = [level.label for level in levels]
        self._decode = _build_decoder([path[0] for path in self._paths])
        self._known: dict[tuple[str | None, ...], Partition] = {}

    def find(self, record: Any) -> Partition:
        """Returns the partition of a record, ``msgspec.Raw`` or a Python value.

        Raises:
            InvalidRecord: a value is not a text, number or boolean, or not a date where one is asked for.
        """
        try:
            first = self._decode(record if isinstance(record, msgspec.Raw) else encode(record))
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InvalidRecord(f"A record cannot be partitioned ({error})") from error
        values = tuple(
            self._read(value, path, level)
            for value, path, level in zip(first, self._paths, self._levels, strict=True)
        )
        found = self._known.get(values)
        if found is None:
            found = self._known[values] = self._build(values)
        return found

    @staticmethod
    def _read(raw: msgspec.Raw, path: Sequence[str], level: FieldPartition) -> str | None:
        value = reduce(_step, path[1:], decode(raw))
        if value is None or value == "":
            return None
        if level.by is not None:
            return _read_date(value, level)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return value if isinstance(value, str) else encode(value).decode()
        raise InvalidRecord(
            f"{level.field} has {'an object' if isinstance(value, dict) else 'a list'}, which names no partition"
        )

    def _build(self, values: tuple[str | None, ...]) -> Partition:
        pairs = dict(zip(self._labels, values, strict=True))
        return Partition("/".join(name_folder(*pair) for pair in pairs.items()), pairs)


def _build_decoder(names: Sequence[str]) -> Callable[[Any], tuple[msgspec.Raw, ...]]:
    """Returns what reads these fields of a record, and no others."""
    null = msgspec.Raw(b"null")
    fields = [
        (f"field{number}", msgspec.Raw, msgspec.field(default=null, name=name))
        for number, name in enumerate(dict.fromkeys(names))
    ]
    kind = msgspec.defstruct("_Fields", fields)
    read = msgspec.json.Decoder(kind).decode
    order = [f"field{list(dict.fromkeys(names)).index(name)}" for name in names]
    return lambda raw: tuple(getattr(found, name) for found in [read(raw)] for name in order)


def _step(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _read_date(value: Any, level: FieldPartition) -> str | None:
    if is_empty_date(value):
        return None
    assert level.by is not None
    try:
        return read_instant(value).text[: _LENGTHS[level.by]]
    except UnreadableDate as error:
        raise InvalidRecord(
            f"{level.field} names no partition: {error.reason}",
            hint="Partition by the field itself, without by.",
        ) from error


def name_folder(label: str, value: str | None) -> str:
    """Returns the name of a partition's folder.

    Raises:
        InvalidRecord: it is longer than a disk takes.
    """
    if value == NO_VALUE:  # an unlikely text that must not pass for no value
        value = value.replace("_", "%5F", 1)
    elif value is not None:
        value = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", value)
    name = f"{label}={NO_VALUE if value is None else value}"
    size = len(name.encode())
    if size > _LONGEST:
        raise InvalidRecord(
            f"A value of {label} is too long for the name of a folder: {size} bytes of {_LONGEST}"
        )
    return name
