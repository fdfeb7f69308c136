"""One attempt at the output of a run: records are staged, and appear in the table with one short transaction.

Several attempts may be open at once. Each replaces the output that it found in the register when it began, or fails. A connection that is
lost at the commit leaves two outcomes; the register says which one it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.destinations.base import FileFigures, Output, Run
from oauth_taskflow.destinations.postgres.database import Database, as_database_errors, pin_settings
from oauth_taskflow.destinations.postgres.lines import (
    SEPARATOR,
    FieldsOfRecords,
    encode_records,
    escape_field,
    escape_lines,
)
from oauth_taskflow.destinations.postgres.place import OutputPlace
from oauth_taskflow.destinations.postgres.register import Register, superseded_error
from oauth_taskflow.destinations.postgres.staging import StagedRecords
from oauth_taskflow.destinations.postgres.target import Target
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

    from oauth_taskflow.destinations.transfer import TransferSummary

_log = logging.getLogger(__name__)
MANIFEST_VERSION = 1
_TRIES = 4
_PAUSE_SECONDS = 1.0


class PostgresWriter:
    """Writes one run's records; see ``destinations.postgres.destination.PostgresTable``."""

    def __init__(
        self,
        database: Database,
        target: Target,
        staged: StagedRecords,
        run: Run,
        *,
        attempt: str,
        base: str,
        more: FieldsOfRecords | None,
    ) -> None:
        self._database = database
        self._target = target
        self._staged = staged
        self._run = run
        self._attempt = attempt
        self._base = base
        self._more = more
        self._replaced: str | None = None

    @property
    def _place(self) -> OutputPlace:
        return self._target.place

    @property
    def _register(self) -> Register:
        return self._target.register

    def write(self, records: Sequence[Any]) -> None:
        """Encodes ``records`` and keeps them for the commit.

        Raises:
            DestinationError: a record cannot be in the table, or the records cannot be staged.
        """
        if not records:
            return
        first, where = self._staged.rows, str(self._place)
        data = encode_records(records, self._target.settings.nul, first, where)
        self._target.observe(data, first)
        with _as_disk_errors(where):
            self._staged.add(escape_lines(data, self._more, records), len(records))

    def take_over(self, kept: Any, rows: int) -> bool:
        """Begins with the first ``rows`` records of a staging table; returns whether they are all there."""
        self._target.recall(kept.fields)
        self._replaced = kept.stage
        return self._staged.adopt(kept, rows)

    def keep(self, state: bytes) -> None:
        """Moves all records into the staging table together with ``state``, in one transaction.

        Raises:
            DestinationError: the database failed, or another attempt committed.
        """
        self._staged.flush((state, self._target.remember()))
        replaced, self._replaced = self._replaced, None
        if replaced is not None:
            self._register.clean_up(self._database.connection, [replaced])

    def suspend(self) -> None:
        """Ends without a commit: what was kept stays for the next attempt; never raises."""
        with suppress(Exception):
            self._staged.drop(keeping=self._staged.has_kept)
        self._close()

    def abort(self) -> None:
        """Removes what was staged; never raises, since another error is on its way."""
        with suppress(Exception):
            self._staged.drop()
        self._close()

    def _close(self) -> None:
        if not self._staged.is_moving:  # libpq crashes when a connection that is in use is closed
            self._database.close()

    def commit(self, summary: TransferSummary) -> Output:
        """Puts the records into the table, with the manifest in the register, and removes what attempts at this run left.

        Raises:
            DestinationError: a step failed, or another attempt committed since this one was opened.
        """
        with _as_disk_errors(str(self._place)):
            self._staged.settle()
        figures = self._commit_surely(summary)
        with suppress(Exception):
            self._staged.drop(keeping=True)  # the table went with the commit
        self._clean_up()
        self._database.close()
        return Output(
            self._target.uri, (self._target.uri,), figures.bytes, summary, self._run, (figures,)
        )

    def _commit_surely(self, summary: TransferSummary) -> FileFigures:
        """Commits; after a lost connection asks the register what happened, and goes on from there."""
        tries = 0
        while True:
            try:
                if tries and (rows := self._find_committed()) is not None:
                    return FileFigures(rows, self._staged.bytes)
                return self._commit(summary)
            except DestinationError as error:  # noqa: PERF203 - a handful of tries
                if not (error.retryable and self._is_away(error)) or tries + 1 == _TRIES:
                    raise
                _log.info(
                    "%s: the connection was lost at the commit; asking the register", self._place
                )
                time.sleep(_PAUSE_SECONDS * tries)
                tries += 1

    def _is_away(self, error: DestinationError) -> bool:
        return self._database.is_lost or error.what.startswith("Connecting")

    def _find_committed(self) -> int | None:
        """Returns the rows of this attempt's commit; None when it did not happen and cannot any more."""
        with as_database_errors("Asking for the outcome of the commit", str(self._place)):
            connection = self._database.connection
            with connection.transaction():
                self._register.lock(connection, self._place)
                found = self._register.find(connection, self._place)
        if found is None or found.attempt != self._attempt:
            return None
        return int(found.manifest["rows_in_table"])

    def _commit(self, summary: TransferSummary) -> FileFigures:
        target, place = self._target, self._place
        with as_database_errors("Committing the output", str(place), self._staged.name_line):
            connection = self._database.connection
            target.change_structure(connection)
            with connection.transaction():
                pin_settings(connection)
                self._register.lock(connection, place)
                found = self._register.find(connection, place)
                if (found.attempt if found is not None else "") != self._base:
                    raise superseded_error(str(place))
                rows = self._fill(connection, has_output=found is not None)
                self._register.drop_stage(connection, self._staged.name)
                manifest = self._manifest(summary, rows)
                self._register.record(connection, place, self._attempt, rows, manifest)
        return FileFigures(rows, self._staged.bytes)

    def _fill(self, connection: Connection, *, has_output: bool) -> int:
        target, staged = self._target, self._staged
        if target.copies_directly and not (has_output and target.settings.mode == "append"):
            target.remove_own(connection)
            added = target.insert(connection, staged.sql, staged.staged) if staged.has_table else 0
            behind = SEPARATOR + SEPARATOR.join(escape_field(str(v)) for v in target.run_values)
            added += staged.copy(connection, target.copy_columns, behind)
            target.require_added(added, staged.rows)
            target.require_own(connection, staged.rows)
            return added
        had_table = staged.has_table
        try:
            staged.move(connection)
            if has_output and target.settings.mode == "append":
                return target.compare(connection, staged.sql, staged.rows)
            return target.fill(connection, staged.sql, staged.rows)
        finally:
            staged.has_table = had_table

    def _manifest(self, summary: TransferSummary, rows: int) -> bytes:
        run = self._run
        manifest = {
            "version": MANIFEST_VERSION,
            "endpoint": run.endpoint,
            "run_id": run.run_id,
            "dag_id": run.dag_id,
            "attempt": self._attempt,
            **run.labels,
            **({"map_index": run.map_index} if run.map_index >= 0 else {}),
            **self._target.describe(),
            "bytes": self._staged.bytes,
            "rows_in_table": rows,
            **msgspec.to_builtins(summary),
        }
        return msgspec.json.encode(manifest)

    def _clean_up(self) -> None:
        """Removes the staging tables of other attempts, which cannot commit any more; those in use stay for the next commit."""
        with suppress(Exception):
            connection = self._database.connection
            found = list(self._register.find_leftovers(connection, self._place))
            self._register.clean_up(connection, found)


@contextmanager
def _as_disk_errors(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(
            f"The records could not be spooled on this machine's disk ({error.strerror or error})",
            where=f"at {where}",
            hint="Free space in the folder for temporary files (TMPDIR).",
        ) from error
