"""Short transactions on the store's database: repeated while it is busy or away, and safe after a fork."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, Table
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.redaction import redact_text
from oauth_taskflow.tokens.sql.engine import is_busy, new_engine, redact_store_url
from oauth_taskflow.tokens.sql.table import GRANTS, create_schema

_T = TypeVar("_T")
_ATTEMPTS = 8  # about ten seconds in all: a database that restarts
_FIRST_PAUSE = 0.05


class Database:
    """One engine per process, opened and given its ``tables`` at first use, after ``set_up``. Safe for threads."""

    def __init__(
        self,
        url: URL,
        clock: Clock,
        tables: Sequence[Table] = (GRANTS,),
        set_up: Callable[[Engine], None] | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._tables = tables
        self._set_up = set_up
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pid = os.getpid()

    def run(self, work: Callable[[Connection], _T], *, writes: bool) -> _T:
        """Run ``work`` in one transaction, and repeat it for a while if the database is busy or away.

        Raises:
            TokenStoreError: it failed for good; ``retryable`` when the database may come back.
        """
        attempt = 1
        while True:
            try:
                return self._once(work, writes=writes)
            except SQLAlchemyError as failure:
                if attempt >= _ATTEMPTS or not _may_recover(failure):
                    raise self._error(failure) from failure
            self._clock.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # jitter
            attempt += 1

    def write_at_once(self, work: Callable[[Connection], _T]) -> _T | None:
        """Run ``work`` in one transaction, as ``run`` does; None if another worker is writing to a SQLite file.

        SQLite has no queue: waiting workers ask less and less often, and a crowd holds up the one whose turn it is.

        Raises:
            TokenStoreError: as ``run``.
        """
        try:
            return self._once(work, writes=True, patient=False)
        except SQLAlchemyError as failure:
            if is_busy(failure):
                return None
        return self.run(work, writes=True)

    def try_once(self, work: Callable[[Connection], _T]) -> _T | None:
        """Run ``work`` in one writing transaction, without waiting; None if the database is busy or away."""
        try:
            return self._once(work, writes=True, patient=False)
        except SQLAlchemyError:
            return None

    def _once(self, work: Callable[[Connection], _T], *, writes: bool, patient: bool = True) -> _T:
        with self.open_engine().connect() as connection:
            connection.execution_options(
                oauth_taskflow_writes=writes, oauth_taskflow_patient=patient
            )
            with connection.begin():
                return work(connection)

    def open_engine(self) -> Engine:
        """The engine of this process. Connections of a parent are dropped, not closed: they belong to the parent."""
        if self._pid != os.getpid():
            self._drop_inherited()
        with self._lock:
            if self._engine is None:
                engine = new_engine(self._url)
                if self._set_up is not None:
                    self._set_up(engine)
                for table in self._tables:
                    create_schema(engine, table)
                self._engine = engine
            return self._engine

    def _drop_inherited(self) -> None:
        inherited, self._engine = self._engine, None
        self._lock, self._pid = threading.Lock(), os.getpid()
        if inherited is not None:
            inherited.dispose(close=False)

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _error(self, failure: SQLAlchemyError) -> TokenStoreError:
        cause = failure.orig if isinstance(failure, DBAPIError) else failure
        text = redact_text(" ".join(str(cause).split()), [self._url.password or ""])[:200]
        error = TokenStoreError(
            f"The token store failed ({type(cause).__name__}: {text})",
            where=f"at {redact_store_url(self._url)}",
            hint="Check that the database of [oauth_taskflow] token_store is up and writable.",
        )
        # The wait was long enough; the other threads may have given their connections back by the next attempt of the task.
        error.retryable = _may_recover(failure) or isinstance(failure, PoolExhausted)
        return error


def _may_recover(failure: SQLAlchemyError) -> bool:
    """Whether the database was busy or away. Drivers name a connection that was cut in different ways."""
    if isinstance(failure, OperationalError):
        return True
    return isinstance(failure, DBAPIError) and failure.connection_invalidated
