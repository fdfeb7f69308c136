"""Database engines for the token store: one per process, set up for short and durable transactions."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens.sql.table import is_supported_dialect

_BUSY_SECONDS = 10.0
# A server that went silent must not hold a worker for ever; the URL's query takes precedence. Only probes notice a
# PostgreSQL host that disappears before it answers, because no request of ours is on the way then.
_CONNECT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "psycopg": {
        "connect_timeout": 10,
        "tcp_user_timeout": 20_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "prepare_threshold": None,  # a pooler may give each transaction another session of the server
    },
    "pymysql": {"connect_timeout": 10, "read_timeout": 20, "write_timeout": 20},
}
# A worker that stalls, or loses its network, within a transaction must not hold up the others for longer.
_SET_UP_MYSQL = (
    # Leases go by SYSDATE(), local time of the session: in the hour that summer time repeats, they would end late.
    "SET time_zone = '+00:00'"
    " /*M!100300 , idle_write_transaction_timeout = 15 */"
    " /*!80000 , wait_timeout = 60 */"  # not by MariaDB; MySQL knows no limit for transactions alone
)
# Set for the transaction, not the session: a connection pooler may lend the session to others.
_LIMIT_POSTGRESQL = "SET LOCAL idle_in_transaction_session_timeout = '15s'"
# "This server takes no writes": PostgreSQL's SQLSTATE, and the numbers of MySQL and MariaDB.
_READ_ONLY = {"25006", 1290, 1792, 1836}
_HINT = "Set [oauth_taskflow] token_store to sqlite:///…, postgresql+psycopg://… or mysql+…://…."


def parse_store_url(text: str) -> URL:
    """The URL of a token store, checked.

    Raises:
        TokenStoreError: it is not a database URL, or the store does not support that database.
    """
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise TokenStoreError("The token store URL is not a database URL", hint=_HINT) from None
    if not is_supported_dialect(backend):
        raise TokenStoreError(f"The token store cannot use {backend!r} databases", hint=_HINT)
    if backend == "sqlite" and url.database in {None, "", ":memory:"}:
        raise TokenStoreError("The SQLite token store needs a file", hint=_HINT)
    # Read from each process's own folder, it would be many stores: they would spend each other's refresh tokens.
    if backend == "sqlite" and not Path(str(url.database)).is_absolute():
        raise TokenStoreError(
            f"The path of the SQLite token store is relative ({url.database})",
            hint="An absolute one has four slashes: sqlite:////var/lib/airflow/tokens.db.",
        )
    return url


def redact_store_url(url: URL) -> str:
    """``url`` without its password."""
    return url.set(query={}).render_as_string(hide_password=True)


def new_engine(url: URL) -> Engine:
    """An engine for ``url``; a SQLite file is created readable by its owner only.

    Raises:
        TokenStoreError: the driver is not installed, or the file cannot be created.
    """
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        return _server_engine(url)
    except (ImportError, ArgumentError) as failure:
        raise TokenStoreError(
            f"No driver for the token store ({failure})",
            where=f"at {redact_store_url(url)}",
            hint="Install the driver named in the URL: oauth-taskflow[postgres] has psycopg, "
            "oauth-taskflow[mysql] PyMySQL.",
        ) from None


def load_driver(text: str) -> None:
    """Import the driver of a store at the URL ``text``, without opening the store.

    Raises:
        TokenStoreError: the URL is unusable, or its driver is not installed.
    """
    url = parse_store_url(text)
    if url.get_backend_name() == "sqlite":
        url.get_dialect().import_dbapi()
    else:
        new_engine(url).dispose()


def _server_engine(url: URL) -> Engine:
    given = _CONNECT_ARGUMENTS.get(url.get_driver_name(), {})
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=8,
        # MySQL's own default locks gaps between rows, too: workers would block each other and deadlock.
        isolation_level="READ COMMITTED",
        connect_args={name: value for name, value in given.items() if name not in url.query},
    )
    event.listen(engine, "handle_error", _leave_replica)
    if url.get_backend_name() == "postgresql":
        event.listen(engine, "begin", _limit_postgresql)
    else:
        event.listen(engine, "connect", _set_up_mysql)
    return engine


def _leave_replica(context: ExceptionContext) -> None:
    # After a failover, kept connections lead to what was the primary: they are dropped, and the URL is asked again.
    failure: Any = context.original_exception
    codes = (getattr(failure, "sqlstate", None), *failure.args[:1])
    if any(code in _READ_ONLY for code in codes):
        context.is_disconnect = True


def _set_up_mysql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET_UP_MYSQL)


def _limit_postgresql(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(_LIMIT_POSTGRESQL)


def _sqlite_engine(url: URL) -> Engine:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create_privately(path)
    except OSError as failure:
        raise TokenStoreError(
            f"The token store file cannot be opened ({failure.strerror})",
            where=f"at {path}",
            hint="Set [oauth_taskflow] token_store to a place that every worker may write to.",
        ) from failure
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_privately(path: Path) -> None:
    """Create ``path`` if it is missing, readable by its owner only. An existing file is not opened.

    Closing a file drops every lock that this process has on it, those of SQLite included. Another process would then take
    the database for unused, and delete the log into which this one goes on writing
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite sends BEGIN
    connection.execute("PRAGMA journal_mode=WAL")
    # A rotated refresh token must survive a power cut as soon as its transaction is over.
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    patient = connection.get_execution_options().get("oauth_taskflow_patient", True)
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS if patient else 0:.0f}")
    # A deferred transaction that turns into a writing one fails at once instead of waiting its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def is_busy(failure: SQLAlchemyError) -> bool:
    """Whether another connection is writing to the SQLite file."""
    cause = failure.orig if isinstance(failure, OperationalError) else None
    return isinstance(cause, sqlite3.OperationalError) and "database is locked" in str(cause)


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("oauth_taskflow_writes"))
