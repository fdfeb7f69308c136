"""A private PostgreSQL server (Debian: ``postgresql``)."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.database_server import START_SECONDS, DatabaseServer, running


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``, newest version first; None without PostgreSQL."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version, reverse=True)
    if versions:
        return versions[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _version(program: Path) -> float:
    return float(program.parts[-3])


class PostgresServer(DatabaseServer):
    """One database cluster, and its administrator ``postgres`` without a password."""

    def __init__(self, programs: Path) -> None:
        super().__init__("postgres")
        self._programs = programs
        self._data = str(self.folder / "data")
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        cluster = ("-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.run(self._programs / "initdb", *cluster)
        self._launch()

    def _launch(self) -> None:
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off "
            f"-c unix_socket_directories={self.folder} -c max_connections=200"
        )
        self._control("-w", "-t", f"{START_SECONDS:.0f}", "-o", options, "start")
        # pg_ctl makes the server the first process of a new session.
        server = int(Path(self._data, "postmaster.pid").read_text().split()[0])
        self.tie(server, signal.SIGQUIT)

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")
        super().stop()

    def restart(self, *, away: float) -> None:
        """Stop at once, as a crash does, and start again after ``away`` seconds."""
        self._control("-m", "immediate", "stop")
        time.sleep(away)
        self._launch()

    def _control(self, *arguments: str) -> None:
        self.run(self._programs / "pg_ctl", "-D", self._data, *arguments)


def create_database(server_url: str, name: str) -> str:
    """Creates a database on the server; its URL."""
    parts = urlsplit(server_url)
    with psycopg.connect(urlunsplit(("postgresql", *parts[1:])), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(parts._replace(path=f"/{name}"))


def copy_to_sqlite(url: str, path: Path) -> None:
    """Copies every table of a database into a new SQLite file; values that SQLite lacks become JSON."""
    source_url = urlunsplit(("postgresql", *urlsplit(url)[1:]))
    with (
        psycopg.connect(source_url) as source,
        contextlib.closing(sqlite3.connect(path)) as copy,
        copy,
    ):
        tables = source.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables.fetchall():
            rows = source.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            names = [f'"{column.name}"' for column in rows.description or ()]
            copy.execute(f'CREATE TABLE "{table}" ({", ".join(names)})')
            insert = f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})'
            copy.executemany(insert, ([_to_sqlite(value) for value in row] for row in rows))


def _to_sqlite(value: Any) -> Any:
    is_known = value is None or isinstance(value, (int, float, str, bytes))
    return value if is_known else json.dumps(value, default=str)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running PostgreSQL server."""
    programs = postgres_programs()
    server = PostgresServer(programs) if programs else None
    yield from running(
        server, "PostgreSQL's programs are not installed (Debian: apt-get install postgresql)"
    )
