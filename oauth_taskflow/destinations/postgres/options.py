"""The options of a table in a spec: ``destination: {type: postgres}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from oauth_taskflow.destinations.base import (
    NO_FACTS,
    EndpointFacts,
    StoreAccess,
    TemplateRenderer,
)
from oauth_taskflow.destinations.postgres.identifiers import (
    TableName,
    find_table_flaw,
    split_table,
)
from oauth_taskflow.destinations.postgres.place import read_location, write_location
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.destinations.tables.table_options import Mode, distinguish_rows, find_owner
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.schema.types import JmesPath, Options, Text, doc

if TYPE_CHECKING:
    from oauth_taskflow.destinations.postgres.destination import PostgresTable

_DEFAULT_SCHEMA = "public"


class PostgresDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="postgres"):
    """A PostgreSQL table, filled by COPY and committed with one transaction (docs/postgres.md)."""

    conn_id: Annotated[
        Text, doc("Airflow connection of type postgres; its schema is the database.", "warehouse")
    ]
    table: Annotated[
        Text,
        doc("Table, or schema.table; a template. Without a schema it is public.", "crm.contacts"),
    ]
    layout: Annotated[
        Literal["raw", "columns"],
        doc("One jsonb column with the whole record, or a typed column for each field.", "columns"),
    ] = "raw"
    mode: Annotated[
        Mode,
        doc(
            "append only adds; replace_run replaces the rows of this run and task instance; merge updates by primary_key.",
            "merge",
        ),
    ] = "replace_run"
    record_column: Annotated[Text, doc("Column of layout raw.", "payload")] = "record"
    column_prefix: Annotated[
        str,
        doc(
            "Begins the names of the technical columns: _run_id, _dag_id and others.",
            "_load_",
            max_length=30,
        ),
    ] = "_"
    work_schema: Annotated[
        Text | None,
        doc("Schema for staging tables and the register; by default that of the table.", "staging"),
    ] = None
    nul: Annotated[
        Literal["fail", "strip"],
        doc("What happens to NUL and half surrogates in texts, which jsonb cannot hold.", "strip"),
    ] = "fail"
    deleted_when: Annotated[
        JmesPath | None, doc("JMESPath that is true for a tombstone, in mode merge.", "deleted")
    ] = None
    delete: Annotated[
        Literal["soft", "hard"],
        doc("A tombstone sets _deleted_at, or removes the row.", "hard"),
    ] = "soft"

    @property
    def address(self) -> str | None:
        """The connection and the table; with the endpoint, where rows of several endpoints may be in one table."""
        place = f"{self.conn_id}|{self.table}"
        return distinguish_rows(place, self.mode)

    def requirements(self) -> tuple[Requirement, ...]:
        """Returns the driver."""
        return (Requirement("psycopg", "postgres"),)

    def templates(self) -> dict[str, str]:
        """Returns the table."""
        return {"table": self.table}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the table with the run in it.

        A value is one part of the name: it cannot choose another schema.

        Raises:
            DestinationError: a part is empty, too long or has a dot.
        """
        parts = [render(part) for part in split_table(self.table)]
        if (flaw := find_table_flaw(parts)) is not None:
            raise DestinationError(
                f"{flaw[0][:80]!r} cannot be a table: {flaw[1]}",
                where=f"in table {self.table!r} of the destination",
                hint="Write schema.table; each value in it is one name.",
            )
        schema = parts[0] if len(parts) > 1 else _DEFAULT_SCHEMA
        dag_id, endpoint = find_owner(render)
        return write_location(TableName(schema, parts[-1]), dag_id, endpoint, run_id)

    def connect(
        self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS
    ) -> PostgresTable:
        """Returns the table at ``location``; the database is asked on first use."""
        # Loads what writes records, which parsing a DAG does not need.
        from oauth_taskflow.destinations.postgres.destination import PostgresTable  # noqa: PLC0415

        settings = TableSettings(
            layout=self.layout,
            mode=self.mode,
            record_column=self.record_column,
            prefix=self.column_prefix,
            work_schema=self.work_schema,
            nul=self.nul,
            deleted_when=self.deleted_when,
            hard_delete=self.delete == "hard",
        )
        return PostgresTable(self.conn_id, access, read_location(location), settings, facts)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> PostgresTable:
        """Returns a destination whose ``read`` takes the URI of any table in the database of ``conn_id``."""
        from oauth_taskflow.destinations.postgres.destination import PostgresTable  # noqa: PLC0415 - as in connect

        nowhere = read_location(write_location(TableName("", ""), "", "", ""))
        return PostgresTable(conn_id or "", access, nowhere, TableSettings())
