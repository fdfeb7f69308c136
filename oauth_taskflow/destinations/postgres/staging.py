"""The records of one attempt before its commit: the last ones in a local file, the others in an unlogged staging table.

A pull that is over within a minute never has a staging table: its records are copied from the file into the table. The file is
emptied into a staging table when it is large, and when progress is kept. Each time is one transaction.
"""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

import tempfile
from collections.abc import Iterator
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
_MOST_FILE_BYTES = 256 << 20
_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_TRIES = 3


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
    ) -> None:
        self._database = database
        self._register = register
        self._place = place
        self._base = base
        self._fields = fields
        self.name = f"_oauth_taskflow_stage_{attempt}"
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by drop
        self._file_bytes = 0
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
            DestinationError: the disk of this machine is full and the database failed, too.
        """
        self._file.write(lines)
        self._file_bytes += len(lines)
        self.bytes += len(lines)
        self.rows += count
        if self._file_bytes >= _MOST_FILE_BYTES:
            self.flush()

    def _pieces(self) -> Iterator[bytes]:
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece
        self._file.seek(0, 2)

    def _empty_file(self) -> None:
        self._file.close()
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by drop
        self._file_bytes = 0
        self.staged = self.rows

    def flush(self, kept: tuple[bytes, bytes] | None = None) -> None:
        """Moves the file into the staging table for good; ``kept`` is the state that is kept with it, and the types.

        A connection that was lost is opened again, and the table is asked whether it has the records.

        Raises:
            DestinationError: the database refuses a record, or does not answer.
        """
        tries = 0
        while True:
            try:
                self._try_flush(kept, is_first=tries == 0)
                break
            except DestinationError as error:
                tries += 1
                if not error.retryable or not self._database.is_lost or tries == _TRIES:
                    raise
        self.has_table = True
        self.has_kept = self.has_kept or kept is not None
        self._empty_file()

    def _try_flush(self, kept: tuple[bytes, bytes] | None, *, is_first: bool) -> None:
        with as_database_errors("Staging records", str(self._place), self.name_line):
            connection = self._database.connection
            if is_first or not self._is_staged(connection):
                with connection.transaction():
                    self._register.lock_stage(connection, self.name)
                    self.move(connection, kept)

    def _is_staged(self, connection: Connection) -> bool:
        with connection.transaction():
            self._register.lock_stage(connection, self.name)
            count = self._register.count_staged(connection, self.name)
        self.has_table = count is not None
        return count == self.rows and self.rows != self.staged

    def move(self, connection: Connection, kept: tuple[bytes, bytes] | None = None) -> None:
        """Copies the file into the staging table, as a part of the caller's transaction."""
        if not self.has_table:
            self._create(connection)
            self._register.add_stage(connection, self._place, self.name, self._base, self.rows)
        self._register.update_stage(connection, self.name, self.rows, kept)
        if self._file_bytes:
            self.copy(connection, f"{self.sql} ({', '.join(map(quote_name, self._fields))})")

    def _create(self, connection: Connection) -> None:
        fields = "".join(f", {quote_name(name)} {kind}" for name, kind in self._fields.items())
        row = f"{quote_name(ROW)} bigint GENERATED ALWAYS AS IDENTITY"
        execute(connection, f"CREATE UNLOGGED TABLE {self.sql} ({row}{fields})")

    def copy(self, connection: Connection, target: str, behind: bytes = b"") -> int:
        """Copies the file into ``target``, a table with its columns, with the fields ``behind`` each line; returns the rows."""
        # A statement without parameters: percent signs in names are not doubled.
        statement = f"COPY {target} FROM STDIN {COPY_OPTIONS}".replace("%%", "%")
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for piece in self._pieces():
                    copy.write(piece.replace(b"\n", behind + b"\n") if behind else piece)
            return cursor.rowcount

    def name_line(self, line: int) -> str:
        """Names the record on a line of the file."""
        return f"record {self.staged + line}"

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
        return copied == rows

    def drop(self, *, keeping: bool = False) -> None:
        """Closes the file and, without ``keeping``, removes the staging table."""
        self._file.close()
        if self.has_table and not keeping:
            connection = self._database.connection
            with connection.transaction():
                self._register.drop_stage(connection, self.name)
