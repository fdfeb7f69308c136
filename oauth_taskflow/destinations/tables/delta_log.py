"""The notes of runs in the log of a Delta Lake table: a transaction has the place of its rows and their manifest in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from deltalake import CommitProperties, DeltaTable

from oauth_taskflow.destinations.tables.place import RowsPlace, list_noted_instances

# The name of our entry in the metadata of a transaction.
_ENTRY = "oauth_taskflow"
# Transactions that are looked through for the manifest of a run, the newest first.
_MOST_TRANSACTIONS = 1000


class _Seen(NamedTuple):
    """The findings about the rows of one place in the log up to version ``looked``."""

    looked: int
    version: int | None
    manifest: Mapping[str, Any] | None


def list_instances(table: DeltaTable, place: RowsPlace) -> set[int]:
    """Returns the numbers of the instances of a run whose newest transaction has a manifest, among the last thousand."""
    notes = map(_read_note, table.history(_MOST_TRANSACTIONS))
    return list_noted_instances(
        ((noted.get("rows") or (), noted.get("manifest") is not None) for noted in notes), place
    )


class RunNotes:
    """The notes of one table, as far as they were read."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Any, ...], _Seen] = {}

    def find(
        self, table: DeltaTable, place: RowsPlace
    ) -> tuple[int | None, Mapping[str, Any] | None]:
        """Returns the newest version that wrote the rows of ``place``, and its manifest.

        Versions that this object has looked through are not read again: in a store, each one is a request.
        """
        wanted, version = list(place.key), table.version()
        before = self._seen.get(place.key)
        if before is None or version < before.looked:
            before = _Seen(version - _MOST_TRANSACTIONS, None, None)
        found, count = before, version - before.looked
        for transaction in table.history(count) if count else ():
            noted = _read_note(transaction)
            if noted.get("rows") == wanted:
                found = _Seen(version, transaction.get("version"), noted.get("manifest"))
                break
        self._seen[place.key] = _Seen(version, found.version, found.manifest)
        return found.version, found.manifest


def read_newest_note(table: DeltaTable, place: RowsPlace) -> Mapping[str, Any] | None:
    """Returns the manifest that the newest transaction of ``table`` has for ``place``; None where it has none."""
    noted = _read_note(table.history(1)[0])
    manifest: Mapping[str, Any] | None = noted.get("manifest")
    return manifest if noted.get("rows") == list(place.key) else None


def _read_note(transaction: Mapping[str, Any]) -> Mapping[str, Any]:
    entry = transaction.get(_ENTRY)
    noted: Mapping[str, Any] = msgspec.json.decode(entry) if isinstance(entry, str) else {}
    return noted


def describe_run(place: RowsPlace, manifest: Mapping[str, Any] | None) -> CommitProperties:
    """Returns the note of a transaction for the rows of ``place``; without ``manifest`` they count no more."""
    entry = msgspec.json.encode({"rows": place.key, "manifest": manifest}).decode()
    return CommitProperties(custom_metadata={_ENTRY: entry})
