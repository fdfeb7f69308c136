"""Functions that load a database, as docs/python-destination.md says an author may write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import closing
from typing import Any

from oauth_taskflow.destinations.python_function import PythonRun


def load_sqlite(run: PythonRun) -> Generator[None, Any, None]:
    """Loads a table in the file ``run.options["file"]``; with a primary key it keeps the last record of a key."""
    key = json.dumps(run.key)
    with closing(sqlite3.connect(run.options["file"])) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS contacts (run TEXT, id INTEGER, tag TEXT, UNIQUE (run, id))"
        )
        if not run.primary_key:
            database.execute("DELETE FROM contacts WHERE run = ?", [key])
        while (batch := (yield)) is not None:
            rows = [(key, record["id"], record["tag"]) for record in batch]
            database.executemany("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?)", rows)


def load_postgres(run: PythonRun) -> Generator[None, Any, None]:
    """Loads the table ``run.options["table"]``; attempts of one run at once commit one after the other."""
    import psycopg  # noqa: PLC0415 - the tests on SQLite do without

    key, table = json.dumps(run.key), run.options["table"]
    with psycopg.connect(run.options["url"]) as database:
        database.execute("CREATE TEMPORARY TABLE arrived (run text, record jsonb)")
        while (batch := (yield)) is not None:
            for record in batch:
                given = [key, json.dumps(record)]
                database.execute("INSERT INTO arrived VALUES (%s, %s)", given)
        database.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        database.execute(f"DELETE FROM {table} WHERE run = %s".encode(), [key])
        database.execute(f"INSERT INTO {table} SELECT * FROM arrived".encode())
