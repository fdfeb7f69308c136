"""A connection to the test server as Airflow would give it, and what a reader of its tables sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import NO_FACTS, EndpointFacts, Output, Run, StoreAccess
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.transfer import TransferSummary, transfer

PASSWORD = "geheim-und-lang-7"


def _render(template: str) -> str:
    names = {"dag_id": "crm", "endpoint": "contacts"}
    return next((value for name, value in names.items() if f"{{{{ {name}" in template), template)


class AirflowLike(Struct):
    """The fields of a connection of type postgres."""

    conn_id: str
    conn_type: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None
    extra_dejson: dict[str, Any] = {}


class Warehouse:
    """A database for one test: its connection, and shortcuts to write and look."""

    def __init__(self, url: str, tables: str, **changed: Any) -> None:
        parts = urlsplit(url)
        fields = {
            "conn_id": "warehouse",
            "conn_type": "postgres",
            "host": parts.hostname,
            "port": parts.port,
            "login": "postgres",
            "password": PASSWORD,
            "schema": "postgres",
        }
        self.schema = tables
        self._address = parts.hostname, parts.port
        self.found = AirflowLike(**{**fields, **changed})
        self.access = StoreAccess(lambda path, _conn_id: Path(path), lambda _conn_id: self.found)

    def destination(self, facts: EndpointFacts = NO_FACTS, run: str = "r1", **options: Any) -> Any:
        """Connects the options of a spec, as the engine does."""
        made = PostgresDestination(
            conn_id="warehouse", **{"table": f"{self.schema}.contacts", **options}
        )
        return made.connect(made.locate(_render, run), self.access, facts)

    def pull(
        self, pages: Sequence[Sequence[Any]], facts: EndpointFacts = NO_FACTS, **options: Any
    ) -> Output:
        """Writes pages as run ``run`` of ``dag_id`` and instance ``map_index``, and commits."""
        run = Run(
            "contacts",
            options.get("run", "r1"),
            map_index=options.pop("map_index", -1),
            dag_id=options.pop("dag_id", "crm"),
        )
        destination = self.destination(facts, **options)
        return transfer([Page(list(p), 1, "", n) for n, p in enumerate(pages)], destination, run)

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the administrator; returns its rows."""
        host, port = self._address
        with psycopg.connect(host=host, port=port, user="postgres", autocommit=True) as connection:
            found = connection.execute(statement, parameters or None)
            return found.fetchall() if found.description else []

    def column(
        self, expression: str, table: str = "contacts", order: str = "_row_number"
    ) -> list[Any]:
        """Returns one expression for each row of a table."""
        rows = self.ask(f'SELECT {expression} FROM "{self.schema}"."{table}" ORDER BY {order}')
        return [value for (value,) in rows]

    def types(self, table: str = "contacts") -> dict[str, str]:
        """Returns the columns of a table that are not technical, with their types."""
        rows = self.ask(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s AND column_name NOT LIKE '\\_%%' "
            "ORDER BY ordinal_position",
            *(self.schema, table),
        )
        return {str(name): str(kind) for name, kind in rows}

    @contextmanager
    def lock(self, table: str) -> Iterator[None]:
        """Keeps all others out of a table, given as SQL."""
        host, port = self._address
        with psycopg.connect(host=host, port=port, user="postgres") as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    def stages(self) -> list[str]:
        """Returns the staging tables that are there, by their notes and by the catalogue."""
        noted = self.ask(f'SELECT stage FROM "{self.schema}"._oauth_taskflow_stages')
        found = self.ask(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
            "AND table_name LIKE '\\_oauth\\_taskflow\\_stage\\_%%'",
            self.schema,
        )
        assert sorted(noted) == sorted(found)
        return [str(name) for (name,) in found]


def ids(count: int, **more: Any) -> list[dict[str, Any]]:
    """Returns records with an id."""
    return [{"id": number, **more} for number in range(count)]


def summary(rows: int, **more: Any) -> TransferSummary:
    """Figures for a commit."""
    return TransferSummary(
        rows, 1, 1, 0, None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 1.0, **more
    )
