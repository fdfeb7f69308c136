"""A table of PostgreSQL as the engine asks it: writers, records of parents, manifests, and output that is stale."""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    EndpointFacts,
    KeptForm,
    ManifestPlace,
    Output,
    Part,
    Progress,
    Run,
    StoreAccess,
)
from oauth_taskflow.destinations.postgres.database import (
    Database,
    as_database_errors,
    execute,
    pin_settings,
)
from oauth_taskflow.destinations.postgres.identifiers import quote_name
from oauth_taskflow.destinations.postgres.merged_fields import build_merged_fields
from oauth_taskflow.destinations.postgres.place import OutputPlace, read_uri, write_uri
from oauth_taskflow.destinations.postgres.reading import (
    missing_error,
    read_settings,
    write_record,
)
from oauth_taskflow.destinations.postgres.register import Commit, KeptStage, Register
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.destinations.postgres.staging import (
    MERGED_FIELDS,
    PLAIN_FIELDS,
    RECORD,
    ROW,
    StagedRecords,
)
from oauth_taskflow.destinations.postgres.statements import match_run
from oauth_taskflow.destinations.postgres.tables import prepare_tables
from oauth_taskflow.destinations.postgres.target import Target
from oauth_taskflow.destinations.postgres.writer import PostgresWriter
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

_KEEP_SECONDS = 60.0
_FETCHED = 500
# Records of parents that are read at once; more are fetched in batches of one transaction.
_AT_ONCE = 2000


class PostgresTable:
    """The rows of one run in a table, separately for each mapped task instance.

    A commit is one transaction: it removes the rows of an earlier try, adds the new ones and writes the register. When
    several attempts write at once, the first to commit wins; the others fail and leave nothing.
    """

    def __init__(
        self,
        conn_id: str,
        access: StoreAccess,
        place: OutputPlace,
        settings: TableSettings,
        facts: EndpointFacts = NO_FACTS,
    ) -> None:
        self._conn_id = conn_id
        self._access = access
        self._place = msgspec.structs.replace(place, work_schema=settings.work_schema or "")
        self._settings = settings
        self._facts = facts

    @property
    def _register(self) -> Register:
        return Register(self._place.register_schema)

    @cached_property
    def _database(self) -> Database:
        """For questions of a moment; each writer opens another connection."""
        return Database(self._conn_id, self._access)

    def open(self, run: Run) -> PostgresWriter:
        """Opens a writer for one attempt at ``run``, and creates the table if it is missing.

        Raises:
            DestinationError: the database cannot be reached or written.
        """
        database, place = Database(self._conn_id, self._access), self._place.pick_run(run)
        try:
            with as_database_errors("Preparing the table", f"{place}, {database.where}"):
                connection = database.connection
                prepare_tables(connection, place.table, self._settings, self._register)
                found = self._register.find(connection, place)
        except BaseException:
            database.close()
            raise
        return self._build_writer(database, place, run, found)

    def _build_writer(
        self, database: Database, place: OutputPlace, run: Run, found: Commit | None
    ) -> PostgresWriter:
        attempt, base = secrets.token_hex(8), found.attempt if found is not None else ""
        merges = self._settings.merges
        fields = MERGED_FIELDS if merges else PLAIN_FIELDS
        uri = write_uri(database.settings, place)
        target = Target(place, self._settings, self._facts, self._register, uri)
        staged = StagedRecords(
            database,
            self._register,
            place,
            fields,
            attempt=attempt,
            base=base,
            needs_table=not target.copies_directly,
        )
        deleted_when = self._settings.deleted_when
        more = build_merged_fields(self._facts, deleted_when, str(place)) if merges else None
        return PostgresWriter(database, target, staged, run, attempt=attempt, base=base, more=more)

    # Records that an attempt kept before it was cut off.

    @property
    def is_resumable(self) -> bool:
        """Always: records are kept in a staging table."""
        return True

    @property
    def kept_form(self) -> KeptForm:
        """JSON as jsonb writes it."""
        return "json"

    @property
    def keep_every(self) -> float:
        """A minute: each time moves the records so far into the staging table, and a short pull needs none."""
        return _KEEP_SECONDS

    def find_progress(self, run: Run) -> Progress | None:
        """Returns what an earlier attempt kept in a staging table.

        Raises:
            DestinationError: the database cannot be read.
        """
        place = self._place.pick_run(run)
        with self._database.open_briefly("Looking for records that were kept") as connection:
            if not self._register.is_here(connection):
                return None
            found = self._register.find(connection, place)
            base = found.attempt if found is not None else ""
            kept = self._register.find_kept(connection, place, base)
        return None if kept is None else Progress(kept.rows, kept.state, kept)

    def resume(self, run: Run, progress: Progress, rows: int) -> PostgresWriter | None:
        """Opens a writer after the first ``rows`` records that were kept; None when they are not all there any more.

        Raises:
            DestinationError: the database cannot be read or written.
        """
        writer = self.open(run)
        try:
            is_whole = writer.take_over(progress.place, rows)
        except DestinationError:
            writer.abort()
            raise
        if not is_whole:
            writer.abort()
        return writer if is_whole else None

    def read_kept(
        self,
        run: Run,  # noqa: ARG002 - the progress names the table
        progress: Progress,
        skip: int,
        take: int,
    ) -> Iterator[Any]:
        """Yields records that were kept; jsonb has sorted their fields.

        Raises:
            DestinationError: the database cannot be read.
        """
        kept: KeptStage = progress.place
        table = self._register.stage_table(kept.stage).sql
        statement = (
            f"SELECT {quote_name(RECORD)}::text FROM {table} ORDER BY {quote_name(ROW)} "
            "OFFSET %s LIMIT %s"
        )
        what = "Reading the records that were kept"
        for text in self._stream(what, statement, (skip, take)):
            yield msgspec.Raw(text.encode())

    def _stream(self, what: str, statement: str, parameters: tuple[Any, ...]) -> Iterator[str]:
        database = Database(self._conn_id, self._access)
        with (
            database.open_briefly(what) as connection,
            connection.transaction(),
            connection.cursor(
                name="records"
            ) as cursor,  # of the server: rows are fetched in batches
        ):
            pin_settings(connection)
            cursor.itersize = _FETCHED
            cursor.execute(statement, parameters)
            for (text,) in cursor:
                yield text

    # Output that was committed.

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes the rows of task instances that are not in ``current``; in mode merge only their notes in the register.

        Raises:
            DestinationError: the database refuses it.
        """
        place, register = self._place, self._register
        with self._database.open_briefly("Removing stale rows") as connection:
            if not register.is_here(connection):
                return 0
            table = write_uri(self._database.settings, place).partition("#")[0]
            kept = {
                number
                for number, manifest in current.items()
                if manifest is None or manifest.partition("#")[0] == table
            }
            stale = [n for n in register.list_instances(connection, place) if n not in kept]
            with connection.transaction():
                for number in stale:
                    self._forget(connection, place.pick_instance(number))
        return len(stale)

    def _forget(self, connection: Connection, stale: OutputPlace) -> None:
        if not self._settings.merges:
            matches = match_run(self._settings)
            execute(connection, f"DELETE FROM {stale.table.sql} WHERE {matches}", stale.key[1:])
        self._register.forget(connection, stale)

    def read(
        self,
        part: str,
        skip: int,
        take: int,
        *,
        host: str = "",  # noqa: ARG002 - every machine reaches the database
        selector: str = "",  # noqa: ARG002 - the URI names the run
    ) -> Iterator[Any]:
        """Reads ``take`` records of the output with the URI ``part``, after the first ``skip``, in their order.

        Layout ``columns`` reads an absent field as null, and an instant in UTC.

        Raises:
            ApiError: rows are gone: another run replaced or merged them.
            DestinationError: the database cannot be read.
        """
        place = read_uri(part)
        with self._database.open_briefly(
            "Looking for records of the parent endpoint"
        ) as connection:
            found = self._find_manifest(place, connection)
        if found is None:
            raise missing_error(place)
        settings = read_settings(found)
        alive = f" AND {settings.sql('deleted_at')} IS NULL" if settings.merges else ""
        statement = (
            f"SELECT ({write_record(found, settings)})::text FROM {place.table.sql} "
            f"WHERE {match_run(settings)}{alive} ORDER BY {settings.sql('row_number')} OFFSET %s LIMIT %s"
        )
        texts: Iterable[str]
        count = 0
        what = "Reading records of the parent endpoint"
        parameters = (*place.key[1:], skip, take)
        if take <= _AT_ONCE:  # a child may take hours with them: no transaction is open meanwhile
            with self._database.open_briefly(what) as connection, connection.transaction():
                pin_settings(connection)
                texts = [text for (text,) in execute(connection, statement, parameters)]
        else:
            texts = self._stream(what, statement, parameters)
        for text in texts:
            count += 1
            yield decode(text)
        if count < min(take, int(found["rows_in_table"]) - skip):
            raise missing_error(place)

    def describe(self, output: Output) -> Description:
        """Describes the rows of ``output`` as the URI of the table with the run behind ``#``."""
        (uri,), (figures,) = output.files, output.figures
        dataset = uri.partition("#")[0]
        parts = [Part(uri, figures.rows, figures.bytes)]
        return Description(parts, uri, self._conn_id, dataset)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns the URI of the output of ``run``; its manifest is in the register."""
        place = self._place.pick_run(run)
        return ManifestPlace(write_uri(self._database.settings, place), self._conn_id)

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the manifest of the output with the URI ``path``; None while nothing is committed.

        Raises:
            DestinationError: the database cannot be read.
        """
        place = read_uri(path)
        with self._database.open_briefly("Reading a manifest") as connection:
            return self._find_manifest(place, connection)

    def _find_manifest(self, place: OutputPlace, connection: Any) -> Mapping[str, Any] | None:
        register = Register(place.register_schema)
        if not register.is_here(connection):
            return None
        found = register.find(connection, place)
        return None if found is None else found.manifest
