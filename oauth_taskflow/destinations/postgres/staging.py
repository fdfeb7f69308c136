"""The records of one attempt before its commit: the last ones in a local file, the others in an unlogged staging table.

Records whose lines are those of the table are copied from the file into it, so that a pull that is over within a minute has no
staging table. All others are read from a staging table in any case: they go there in the background while the pull goes on. The
file is emptied into the staging table when it is large, and when progress is kept. Each time is one transaction.
"""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING

from oauth_taskflow.destinations.postgres.database import Database, as_database_errors, execute
from oauth_taskflow.destinations.postgres.identifiers import quote_name
from oauth_taskflow.destinations.postgres.lines import COPY_OPTIONS
from oauth_taskflow.destinations.postgres.place import OutputPlace
from oauth_taskflow.destinations.postgres.register import KeptStage, Register
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

RECORD, ORDER, DELETED, ROW = "record", "order_value", "deleted", "row_number"
PLAIN_FIELDS = {RECORD: "jsonb"}
MERGED_FIELDS = {**PLAIN_FIELDS, ORDER: "numeric", DELETED: "boolean"}
# Bytes of a file that is emptied: of records that may need no staging table, and of those that do.
_MOST_FILE_BYTES = 256 << 20
_BACKGROUND_BYTES = 4 << 20
_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_TRIES = 3
# When an attempt ends early, the background is cancelled so often, each time with a wait; a database may never answer again.
_END_TRIES, _END_SECONDS = 5, 1.0


class _Spool:
    """Lines of consecutive records in a local file, which is in memory while it is small."""

    def __init__(self, first: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by close
        self._first = first
        self.bytes = 0
        self.rows = 0

    @property
    def end(self) -> int:
        """The number of records up to the last one of this file."""
        return self._first + self.rows

    def add(self, lines: bytes, count: int) -> None:
        """Adds ``count`` records."""
        self._file.write(lines)
        self.bytes += len(lines)
        self.rows += count

    def pieces(self) -> Iterator[bytes]:
        """Yields the lines, a MiB at a time."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece
        self._file.seek(0, 2)

    def name_line(self, line: int) -> str:
        """Names the record on a line of the file."""
        return f"record {self._first + line}"

    def close(self) -> None:
        """Removes the file."""
        self._file.close()


class StagedRecords:
    """The records of one attempt, in the order in which they came; not visible to readers of the table."""

    def __init__(
        self,
        database: Database,
        register: Register,
        place: OutputPlace,
        fields: dict[str, str],
        *,
        attempt: str,
        base: str,
        needs_table: bool,
    ) -> None:
        self._database = database
        self._register = register
        self._place = place
        self._base = base
        self._fields = fields
        self._needs_table = needs_table
        self.name = f"_oauth_taskflow_stage_{attempt}"
        self._spool = _Spool(0)
        self._moving: Future[None] | None = None
        self.bytes = 0
        self.rows = 0
        self.staged = 0
        self.has_table = False
        self.has_kept = False

    @property
    def sql(self) -> str:
        """The staging table as statements write it."""
        return self._register.stage_table(self.name).sql

    def add(self, lines: bytes, count: int) -> None:
        """Adds ``count`` records; a file that became large is emptied into the staging table.

        Raises:
            DestinationError: the disk of this machine is full and the database failed, too; or an earlier file was refused.
        """
        self._spool.add(lines, count)
        self.bytes += len(lines)
        self.rows += count
        if self._needs_table and self._spool.bytes >= _BACKGROUND_BYTES:
            self.settle()
            self._moving = Future()
            # The context carries Airflow's secret masking and log settings into the thread. It is a daemon: a database that
            # never answers must not keep the process alive.
            run, given = copy_context().run, (self._move_aside, self._spool, self._moving)
            Thread(target=run, args=given, name="oauth-taskflow-staging", daemon=True).start()
            self._spool = _Spool(self.rows)
        elif self._spool.bytes >= _MOST_FILE_BYTES:
            self.flush()

    def _move_aside(self, spool: _Spool, moving: Future[None]) -> None:
        try:
            self._move_for_good(spool)
            moving.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised by settle
            moving.set_exception(error)
        finally:
            spool.close()

    @property
    def is_moving(self) -> bool:
        """Whether a thread in the background uses the connection to the database."""
        return self._moving is not None and not self._moving.done()

    def settle(self) -> None:
        """Waits until nothing is moved in the background.

        Raises:
            DestinationError: the database refused a record, or did not answer; again at each call.
        """
        if self._moving is not None:
            self._moving.result()
            self._moving = None

    def flush(self, kept: tuple[bytes, bytes] | None = None) -> None:
        """Moves all records into the staging table for good; ``kept`` is the state that is kept with them, and the types.

        Raises:
            DestinationError: the database refuses a record, or does not answer.
        """
        self.settle()
        self._move_for_good(self._spool, kept)
        self._spool.close()
        self._spool = _Spool(self.rows)

    def _move_for_good(self, spool: _Spool, kept: tuple[bytes, bytes] | None = None) -> None:
        """Moves a file in a transaction. A connection that was lost is opened again, and the table is asked whether it has the records."""
        tries = 0
        while True:
            try:
                self._try_move(spool, kept, is_first=tries == 0)
                break
            except DestinationError as error:
                tries += 1
                if not error.retryable or not self._database.is_lost or tries == _TRIES:
                    raise
        self.has_table = True
        self.has_kept = self.has_kept or kept is not None
        self.staged = spool.end

    def _try_move(self, spool: _Spool, kept: tuple[bytes, bytes] | None, *, is_first: bool) -> None:
        with as_database_errors("Staging records", str(self._place), spool.name_line):
            connection = self._database.connection
            if is_first or not self._is_staged(connection, spool):
                with connection.transaction():
                    self._register.lock_stage(connection, self.name)
                    self._move(connection, spool, kept)

    def _is_staged(self, connection: Connection, spool: _Spool) -> bool:
        with connection.transaction():
            self._register.lock_stage(connection, self.name)
            count = self._register.count_staged(connection, self.name)
        self.has_table = count is not None
        return count == spool.end and spool.rows > 0

    def move(self, connection: Connection) -> None:
        """Copies the file into the staging table, as a part of the caller's transaction; nothing is moved in the background."""
        self._move(connection, self._spool)

    def _move(
        self, connection: Connection, spool: _Spool, kept: tuple[bytes, bytes] | None = None
    ) -> None:
        if not self.has_table:
            self._create(connection)
            self._register.add_stage(connection, self._place, self.name, self._base, spool.end)
        self._register.update_stage(connection, self.name, spool.end, kept)
        if spool.bytes:
            names = ", ".join(map(quote_name, self._fields))
            _copy(connection, f"{self.sql} ({names})", spool)

    def _create(self, connection: Connection) -> None:
        fields = "".join(f", {quote_name(name)} {kind}" for name, kind in self._fields.items())
        row = f"{quote_name(ROW)} bigint GENERATED ALWAYS AS IDENTITY"
        execute(connection, f"CREATE UNLOGGED TABLE {self.sql} ({row}{fields})")

    def copy(self, connection: Connection, target: str, behind: bytes) -> int:
        """Copies the file into ``target``, a table with its columns, with the fields ``behind`` each line; returns the rows."""
        return _copy(connection, target, self._spool, behind)

    def name_line(self, line: int) -> str:
        """Names the record on a line of the file."""
        return self._spool.name_line(line)

    def adopt(self, kept: KeptStage, rows: int) -> bool:
        """Begins with the first ``rows`` records that another attempt kept; returns whether they are all there.

        They are copied: the other attempt may still live.
        """
        names = ", ".join(map(quote_name, self._fields))
        other = self._register.stage_table(kept.stage).sql
        connection = self._database.connection
        with (
            as_database_errors("Reading the records that were kept", str(self._place)),
            connection.transaction(),
        ):
            self._create(connection)
            copied = execute(
                connection,
                f"INSERT INTO {self.sql} ({names}) SELECT {names} FROM {other} "
                f"ORDER BY {quote_name(ROW)} LIMIT %s",
                (rows,),
            ).rowcount
            self._register.add_stage(connection, self._place, self.name, self._base, copied)
            name = self.sql.replace("%%", "%")
            size = execute(connection, "SELECT pg_relation_size(%s)", (name,)).fetchone()
            self.bytes = size[0] if size is not None else 0
        self.has_table, self.rows, self.staged = True, copied, copied
        self._spool.close()
        self._spool = _Spool(copied)
        return copied == rows

    def drop(self, *, keeping: bool = False) -> None:
        """Closes the file and, without ``keeping``, removes the staging table.

        The table stays for the next commit while the background waits for a database that does not answer.
        """
        self._spool.close()
        for _ in range(_END_TRIES):  # a statement may begin just after a request to cancel
            moving = self._moving
            if moving is None or moving.done():
                break
            self._database.cancel(_END_SECONDS)
            wait([moving], _END_SECONDS)
        if self.has_table and not keeping and not self.is_moving:
            self._register.clean_up(self._database.connection, [self.name])


def _copy(connection: Connection, target: str, spool: _Spool, behind: bytes = b"") -> int:
    # A statement without parameters: percent signs in names are not doubled.
    statement = f"COPY {target} FROM STDIN {COPY_OPTIONS}".replace("%%", "%")
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in spool.pieces():
                copy.write(piece.replace(b"\n", behind + b"\n") if behind else piece)
        return cursor.rowcount
