"""The register: which outputs are committed, with their manifests, and which staging tables attempts have left.

Two tables, ``_oauth_taskflow_runs`` and ``_oauth_taskflow_stages``. A row of the first is written in the
transaction that makes the records visible: it is the manifest of the output.
"""

# ruff: noqa: S608 - names in statements come from quote_name, values are parameters

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from oauth_taskflow.destinations.postgres.database import execute
from oauth_taskflow.destinations.postgres.identifiers import TableName
from oauth_taskflow.destinations.postgres.place import OutputPlace
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

_KEY_COLUMNS = """\
table_name text NOT NULL, dag_id text NOT NULL, endpoint text NOT NULL, run_id text NOT NULL, map_index integer NOT NULL"""
_KEY = "table_name, dag_id, endpoint, run_id, map_index"
_IS_KEY = f"({_KEY}) = (%s, %s, %s, %s, %s)"
REGISTER_COLUMNS = f"""\
{_KEY_COLUMNS}, attempt text NOT NULL, committed_at timestamptz NOT NULL DEFAULT now(), row_count bigint NOT NULL,
manifest json NOT NULL, PRIMARY KEY ({_KEY})"""
STAGE_COLUMNS = f"""\
stage text PRIMARY KEY, {_KEY_COLUMNS}, base text NOT NULL, row_count bigint NOT NULL,
used_at timestamptz NOT NULL DEFAULT now(), kept_rows bigint, state bytea, fields bytea"""
# Staging tables that were not used for so long belong to dead attempts.
_FORGET = "7 days"
# A staging table that another session uses stays for the next commit.
_CLEANING_LOCK_MS = 2000


class Commit(Struct, frozen=True):
    """A row of the register."""

    attempt: str
    manifest: Mapping[str, Any]


class KeptStage(Struct, frozen=True):
    """A staging table of which an attempt kept the first ``rows`` records, with the engine's state and the fields' types."""

    stage: str
    rows: int
    state: bytes
    fields: bytes


class Register:
    """The two tables in one schema."""

    def __init__(self, schema: str) -> None:
        self.runs = TableName(schema, "_oauth_taskflow_runs")
        self.stages = TableName(schema, "_oauth_taskflow_stages")

    def lock(self, connection: Connection, place: OutputPlace) -> None:
        """Waits until no other transaction commits this output; also a transaction whose connection was lost ends first."""
        text = json.dumps([self.runs.schema, *place.key])
        execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (text,))

    def lock_table(self, connection: Connection, table: TableName) -> None:
        """Waits until no other transaction merges into ``table``."""
        execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (str(table),))

    def find(self, connection: Connection, place: OutputPlace) -> Commit | None:
        """Returns the committed output at ``place``."""
        found = execute(
            connection,
            f"SELECT attempt, manifest FROM {self.runs.sql} WHERE {_IS_KEY}",
            place.key,
        ).fetchone()
        return None if found is None else Commit(found[0], found[1])

    def is_here(self, connection: Connection) -> bool:
        """Returns whether the register exists: nothing was ever committed without it."""
        names = [one.sql.replace("%%", "%") for one in (self.runs, self.stages)]
        found = execute(connection, "SELECT to_regclass(%s), to_regclass(%s)", names).fetchone()
        return found is not None and None not in found

    def record(
        self,
        connection: Connection,
        place: OutputPlace,
        attempt: str,
        rows: int,
        manifest: bytes,
    ) -> None:
        """Writes the row of a commit, in place of the one before."""
        execute(
            connection,
            f"INSERT INTO {self.runs.sql} ({_KEY}, attempt, row_count, manifest) "
            f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT ({_KEY}) DO UPDATE SET "
            "attempt = EXCLUDED.attempt, row_count = EXCLUDED.row_count, "
            "manifest = EXCLUDED.manifest, committed_at = now()",
            (*place.key, attempt, rows, manifest.decode()),
        )

    def forget(self, connection: Connection, place: OutputPlace) -> bool:
        """Removes the row of ``place``, and returns whether there was one."""
        return (
            execute(connection, f"DELETE FROM {self.runs.sql} WHERE {_IS_KEY}", place.key).rowcount
            > 0
        )

    def list_instances(self, connection: Connection, place: OutputPlace) -> list[int]:
        """Returns the numbers of the task instances of a run that committed output."""
        found = execute(
            connection,
            f"SELECT map_index FROM {self.runs.sql} "
            "WHERE (table_name, dag_id, endpoint, run_id) = (%s, %s, %s, %s) ORDER BY map_index",
            place.key[:4],
        )
        return [number for (number,) in found]

    # Staging tables.

    def stage_table(self, stage: str) -> TableName:
        """Returns a staging table by its name."""
        return TableName(self.stages.schema, stage)

    def lock_stage(self, connection: Connection, stage: str) -> None:
        """Waits until no transaction writes to the staging table, even one whose connection was lost."""
        execute(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", (stage,))

    def count_staged(self, connection: Connection, stage: str) -> int | None:
        """Returns how many records are in a staging table for good; None without it."""
        found = execute(
            connection, f"SELECT row_count FROM {self.stages.sql} WHERE stage = %s", (stage,)
        ).fetchone()
        return None if found is None else found[0]

    def add_stage(
        self, connection: Connection, place: OutputPlace, stage: str, base: str, rows: int
    ) -> None:
        """Notes a new staging table; ``base`` is the attempt whose output it would replace."""
        execute(
            connection,
            f"INSERT INTO {self.stages.sql} (stage, {_KEY}, base, row_count) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (stage, *place.key, base, rows),
        )

    def update_stage(
        self, connection: Connection, stage: str, rows: int, kept: tuple[bytes, bytes] | None = None
    ) -> None:
        """Notes how many records a staging table has, and that they are kept with a state and the types of their fields.

        Raises:
            DestinationError: another attempt committed, and removed the table.
        """
        keeping = ", kept_rows = %s, state = %s, fields = %s" if kept is not None else ""
        values = (rows, *((rows, *kept) if kept is not None else ()), stage)
        changed = execute(
            connection,
            f"UPDATE {self.stages.sql} SET row_count = %s, used_at = now(){keeping} WHERE stage = %s",
            values,
        )
        if changed.rowcount == 0:
            raise superseded_error(str(self.stage_table(stage)))

    def find_kept(self, connection: Connection, place: OutputPlace, base: str) -> KeptStage | None:
        """Returns the staging table that was kept last, if no output was committed since its attempt began."""
        found = execute(
            connection,
            f"SELECT stage, kept_rows, state, fields FROM {self.stages.sql} "
            f"WHERE {_IS_KEY} AND base = %s AND state IS NOT NULL ORDER BY used_at DESC LIMIT 1",
            (*place.key, base),
        ).fetchone()
        return None if found is None else KeptStage(*found)

    def drop_stage(self, connection: Connection, stage: str) -> None:
        """Removes a staging table with its note."""
        execute(connection, f"DROP TABLE IF EXISTS {self.stage_table(stage).sql}")
        execute(connection, f"DELETE FROM {self.stages.sql} WHERE stage = %s", (stage,))

    def clean_up(self, connection: Connection, stages: Sequence[str]) -> None:
        """Removes staging tables, each in its own transaction; those in use stay. Never raises."""
        for stage in stages:
            with suppress(Exception), connection.transaction():
                execute(connection, f"SET LOCAL lock_timeout = {_CLEANING_LOCK_MS}")
                self.drop_stage(connection, stage)

    def find_leftovers(self, connection: Connection, place: OutputPlace) -> Iterator[str]:
        """Yields the staging tables of this output, and those of the same table that were forgotten for a week."""
        found = execute(
            connection,
            f"SELECT stage FROM {self.stages.sql} WHERE {_IS_KEY} "
            f"OR (table_name = %s AND used_at < now() - interval '{_FORGET}')",
            (*place.key, str(place.table)),
        )
        return (stage for (stage,) in found.fetchall())


def superseded_error(where: str) -> DestinationError:
    """Returns the error of an attempt that another attempt overtook."""
    return DestinationError(
        "Another attempt of the same run committed its output while this one was writing, so this attempt was discarded",
        where=f"at {where}",
        hint="The output there is whole. Run the task again to replace it.",
    )
