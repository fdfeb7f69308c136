"""The notes of runs in an Iceberg table: the summary of a snapshot has the place of its rows and their manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pyiceberg.table import Table as PyIcebergTable

from oauth_taskflow.destinations.tables.lake_schema import find_text_kinds
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.record_schema.model import RecordSchema

# Names in the summary of a snapshot and among the properties of a table.
_ENTRY = "oauth-taskflow.rows"
_KINDS = "oauth-taskflow.kinds"


def find_run(
    table: PyIcebergTable, place: RowsPlace
) -> tuple[int | None, Mapping[str, Any] | None]:
    """Returns the newest snapshot that wrote the rows of ``place``, and its manifest."""
    wanted = _encode(place.key)
    for snapshot in reversed(table.metadata.snapshots):
        noted = snapshot.summary.additional_properties if snapshot.summary is not None else {}
        if noted.get(_ENTRY) == wanted:
            return snapshot.snapshot_id, msgspec.json.decode(
                noted.get(f"{_ENTRY}.manifest", "null")
            )
    return None, None


def list_noted_instances(table: PyIcebergTable, place: RowsPlace) -> set[int]:
    """Returns the numbers of the instances of a run whose newest snapshot has a manifest, among those that the table keeps."""
    *run, _ = place.key
    counts: dict[int, bool] = {}
    for snapshot in reversed(table.metadata.snapshots):
        noted = snapshot.summary.additional_properties if snapshot.summary is not None else {}
        rows = msgspec.json.decode(noted.get(_ENTRY, "[]"))
        if rows and rows[:-1] == run:
            counts.setdefault(rows[-1], noted.get(f"{_ENTRY}.manifest", "null") != "null")
    return {number for number, has_output in counts.items() if has_output}


def describe_run(place: RowsPlace, manifest: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the note of a snapshot for the rows of ``place``; without ``manifest`` they count no more."""
    return {_ENTRY: _encode(place.key), f"{_ENTRY}.manifest": _encode(manifest)}


def write_kinds(records: RecordSchema) -> dict[str, str]:
    """Returns the property of a table that says which of its texts are JSON or decimals."""
    return {_KINDS: _encode(find_text_kinds(records))}


def read_kinds(table: PyIcebergTable) -> Mapping[str, str]:
    """Returns what ``write_kinds`` wrote."""
    found: Mapping[str, str] = msgspec.json.decode(table.properties.get(_KINDS, "{}"))
    return found


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
