"""The notes of runs in an Iceberg table: the summary of a snapshot has the place of its rows and their manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.snapshots import Snapshot

from oauth_taskflow.destinations.tables.lake_schema import find_text_kinds
from oauth_taskflow.destinations.tables.place import RowsPlace, list_noted_instances
from oauth_taskflow.record_schema.model import RecordSchema

# Names in the summary of a snapshot and among the properties of a table.
_ENTRY = "oauth-taskflow.rows"
_MANIFEST = f"{_ENTRY}.manifest"
_KINDS = "oauth-taskflow.kinds"


def find_run(
    table: PyIcebergTable, place: RowsPlace
) -> tuple[int | None, Mapping[str, Any] | None]:
    """Returns the newest snapshot that wrote the rows of ``place``, and its manifest."""
    wanted = _encode(place.key)
    for snapshot, noted in _read_notes(table):
        if noted.get(_ENTRY) == wanted:
            return snapshot.snapshot_id, msgspec.json.decode(noted.get(_MANIFEST, "null"))
    return None, None


def list_instances(table: PyIcebergTable, place: RowsPlace) -> set[int]:
    """Returns the numbers of the instances of a run whose newest snapshot has a manifest, among those that the table keeps."""
    notes = (
        (msgspec.json.decode(noted.get(_ENTRY, "[]")), noted.get(_MANIFEST, "null") != "null")
        for _, noted in _read_notes(table)
    )
    return list_noted_instances(notes, place)


def _read_notes(table: PyIcebergTable) -> Iterator[tuple[Snapshot, Mapping[str, str]]]:
    """Yields the snapshots, newest first, and what their summaries hold."""
    for snapshot in reversed(table.metadata.snapshots):
        summary = snapshot.summary
        yield snapshot, {} if summary is None else summary.additional_properties


def describe_run(place: RowsPlace, manifest: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the note of a snapshot for the rows of ``place``; without ``manifest`` they count no more."""
    return {_ENTRY: _encode(place.key), _MANIFEST: _encode(manifest)}


def write_kinds(records: RecordSchema) -> dict[str, str]:
    """Returns the property of a table that says which of its texts are JSON or decimals."""
    return {_KINDS: _encode(find_text_kinds(records))}


def read_kinds(table: PyIcebergTable) -> Mapping[str, str]:
    """Returns what ``write_kinds`` wrote."""
    found: Mapping[str, str] = msgspec.json.decode(table.properties.get(_KINDS, "{}"))
    return found


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
