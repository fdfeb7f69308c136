"""Connections to PostgreSQL by an Airflow connection, and one form for the errors of the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oauth_taskflow.destinations.base import StoreAccess, StoreConnection
from oauth_taskflow.destinations.postgres.place import DEFAULT_PORT
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_text

if TYPE_CHECKING:
    from psycopg import Connection, Cursor, Error

_TYPES = frozenset({"postgres", "postgresql"})
# Keywords of libpq that an extra must not set, since fields of the connection do.
_FIELDS = frozenset({"host", "port", "user", "password", "dbname", "client_encoding"})
_DEFAULTS = {
    "application_name": "oauth-taskflow",
    "connect_timeout": "10",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
}
_TOKEN_LOGINS = ("iam", "iam_login", "azure_conn_id")
_LINE = re.compile(r"\bline (\d+)")
# First characters of SQLSTATE (PostgreSQL, appendix A) after which the same work may succeed a moment later:
# connection, transaction rollback, resources (disk, memory, connections), lock, operator intervention.
_PASSING = ("08", "40", "53", "55P", "57")
_HINTS = {
    "28": "Check login and password of the connection, and the server's pg_hba.conf.",
    "3D": "Check the database, which is the field schema of the connection.",
    "42501": "Grant the rights that docs/postgres.md names, or let table or work_schema be in a schema of this login.",
    "53100": "Free space on the database server, and run the task again.",
    "53": "The database server lacks memory, space or connections: run the task again later.",
    "22P05": "Write nul: strip, or remove the character with fields.",
    "2BP01": "A view or another object uses the column: drop it, or let a contract keep the type.",
    "0A000": "A view or another object uses the column: drop it, or let a contract keep the type.",
}
_CHECK = "Check host, port, login and schema (the database) of the connection, and that the server is reached from here."


def load_psycopg() -> Any:
    """Returns the library.

    Raises:
        DestinationError: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - loaded by tasks that write to PostgreSQL only
    except ImportError as error:
        raise DestinationError(
            "psycopg, the driver of PostgreSQL, is not installed",
            where="at the destination",
            hint="Install it on every worker: pip install 'oauth-taskflow[postgres]'.",
        ) from error
    return psycopg


def execute(
    connection: Connection, statement: str, parameters: Sequence[Any] = ()
) -> Cursor[tuple[Any, ...]]:
    """Runs a statement; names in it come from ``quote_name``, all other values are parameters."""
    return connection.execute(statement, parameters)


class Database:
    """One connection to the database of ``conn_id``, opened when it is asked for, and again once it was lost."""

    def __init__(self, conn_id: str, access: StoreAccess) -> None:
        self._conn_id = conn_id
        self._access = access
        self._open: Connection | None = None

    @cached_property
    def settings(self) -> StoreConnection:
        """The Airflow connection.

        Raises:
            DestinationError: it is of another type, or asks for a login that is not known here.
        """
        found = self._access.find_connection(self._conn_id)
        where = f"in connection {self._conn_id!r}"
        if found.conn_type not in _TYPES:
            raise DestinationError(
                f"The connection of a postgres destination has the type {found.conn_type!r}",
                where=where,
                hint="Name a connection of type postgres: conn_id of the destination.",
            )
        given = [name for name in _TOKEN_LOGINS if found.extra_dejson.get(name)]
        if given:
            raise DestinationError(
                f"A login by {given[0]} is not supported",
                where=where,
                hint="Give login and password, or a client certificate (sslcert, sslkey) in the extra.",
            )
        return found

    @property
    def where(self) -> str:
        """The server and database, without credentials."""
        found = self.settings
        address = f"{found.host or 'localhost'}:{found.port or DEFAULT_PORT}"
        return f"{address}/{found.schema or found.login or ''} (connection {self._conn_id!r})"

    @property
    def connection(self) -> Connection:
        """The open connection, which commits each statement.

        Raises:
            DestinationError: the database does not answer or refuses the login.
        """
        if self._open is None or self._open.closed:
            self._open = self._connect()
        return self._open

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke."""
        return self._open is not None and self._open.closed

    def _connect(self) -> Connection:
        psycopg = load_psycopg()
        found = self.settings
        known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - _FIELDS
        extra = {k: v for k, v in found.extra_dejson.items() if k in known and v is not None}
        fields = {
            "host": found.host,
            "port": found.port,
            "user": found.login,
            "password": found.password,
            "dbname": found.schema,
        }
        given = {name: value for name, value in fields.items() if value}
        with as_database_errors("Connecting to PostgreSQL", self.where):
            opened: Connection = psycopg.connect(
                autocommit=True,
                prepare_threshold=None,  # PgBouncer may give each transaction another server process
                client_encoding="UTF8",
                **{**_DEFAULTS, **extra, **given},
            )
        return opened

    def close(self) -> None:
        """Closes the connection; never raises."""
        if self._open is not None:
            with suppress(Exception):
                self._open.close()

    @contextmanager
    def open_briefly(self, what: str) -> Iterator[Connection]:
        """Gives the connection for a moment: ``what`` failed is what an error says; it is closed at the end."""
        try:
            with as_database_errors(what, self.where):
                yield self.connection
        finally:
            self.close()


@contextmanager
def as_database_errors(
    what: str, where: str, name_line: Callable[[int], str] | None = None
) -> Iterator[None]:
    """Raises ``DestinationError`` in place of an error of the database, without the data that it quotes.

    ``name_line`` names the record of a line that ``COPY`` refused.
    """
    psycopg = load_psycopg()
    try:
        yield
    except psycopg.Error as error:
        # The original quotes whole records.
        raise _translate(error, what, where, name_line) from None


def _translate(
    error: Error, what: str, where: str, name_line: Callable[[int], str] | None
) -> DestinationError:
    state = error.sqlstate or ""
    reason = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    line = _LINE.search(error.diag.context or "")
    if name_line is not None and line is not None:
        where = f"{name_line(int(line[1]))}, {where}"
    hints = (hint for key, hint in _HINTS.items() if state.startswith(key))
    is_away = not state and isinstance(error, load_psycopg().OperationalError)
    refused = "authentication failed" in reason or "no password" in reason
    return DestinationError(
        f"{what} failed ({redact_text(reason[:300])})",
        where=f"at {where}",
        hint=_HINTS["28"] if refused else next(hints, _CHECK if is_away else ""),
        retryable=(is_away and not refused and "does not exist" not in reason)
        or state.startswith(_PASSING),
    )
