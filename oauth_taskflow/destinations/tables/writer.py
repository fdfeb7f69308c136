"""Writes the records of one run into a table: to the spool first, then in one transaction."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from oauth_taskflow.destinations.base import FileFigures, Output, Run
from oauth_taskflow.destinations.output_folders import as_destination_errors
from oauth_taskflow.destinations.tables.base import Commit, Table
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.spool import TableSpool
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.record_schema.model import RecordSchema

MANIFEST_VERSION = 1


class TableWriter:
    """Takes the records of one attempt; ``attempt`` is its id."""

    def __init__(
        self,
        table: Table,
        place: RowsPlace,
        run: Run,
        attempt: str,
        declared: RecordSchema | None,
    ) -> None:
        self._table, self._place, self._run, self._attempt = table, place, run, attempt
        with as_destination_errors("Opening the table", table.uri):
            table.check()
            found = table.find_manifest(place)
        self._found = None if found is None else str(found["attempt"])
        self._rows = TableSpool(declared, nested=table.is_nested)

    def write(self, records: Sequence[Any]) -> None:
        """Keeps records on this machine's disk.

        Raises:
            DestinationError: the disk is full.
            InvalidRecord: a record is not an object.
        """
        with as_destination_errors("Keeping records for the table on this disk", self._table.uri):
            self._rows.write(records)

    def commit(self, summary: TransferSummary) -> Output:
        """Writes all records in one transaction.

        Raises:
            DestinationError: it failed, or another attempt committed since this one was opened.
        """
        with as_destination_errors("Committing to the table", self._table.uri):
            self._rows.finish()
            manifest = self._manifest(summary)
            done = self._table.commit(Commit(self._place, self._rows, manifest, self._found))
        self._rows.close()
        place = str(self._place.pick_version(done.version))
        figures = (FileFigures(summary.rows, done.bytes),)
        return Output(self._table.uri, (place,), done.bytes, summary, self._run, figures)

    def abort(self) -> None:
        """Drops the records; never raises."""
        with suppress(Exception):
            self._rows.close()

    def _manifest(self, summary: TransferSummary) -> dict[str, Any]:
        run = self._run
        return {
            "version": MANIFEST_VERSION,
            "dag_id": run.dag_id,
            "endpoint": run.endpoint,
            "run_id": run.run_id,
            "map_index": run.map_index,
            "attempt": self._attempt,
            "host": socket.gethostname(),
            **run.labels,
            **msgspec.to_builtins(summary),
        }
