"""The token store in a SQL database: a SQLite file, PostgreSQL or MySQL."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.redaction import redact_text
from oauth_taskflow.tokens import engine as engines
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.record import GrantRecord, Reading
from oauth_taskflow.tokens.recovery import RecoveryFiles
from oauth_taskflow.tokens.rows import EMPTY_ROW, to_columns, to_record
from oauth_taskflow.tokens.schema import GRANTS, create_schema, database_clock
from oauth_taskflow.tokens.store import Edit

_T = TypeVar("_T")
_ATTEMPTS = 8  # about ten seconds in all: a database that restarts
_FIRST_PAUSE = 0.05


class SqlTokenStore:
    """One row per grant; every operation is one short transaction, timed by the database's clock.

    Safe for threads and for processes that fork. Nothing is opened before the first operation.

    Args:
        url: database URL; ``sqlite:////path/file.db`` for a file of one machine.
        keys: Fernet keys, newest first.
        recovery_dir: where tokens go that the database does not take; beside the SQLite file by default.
        clock: this machine's clock.

    Raises:
        TokenStoreError: the URL or a key is unusable.
    """

    def __init__(
        self,
        url: str,
        keys: Sequence[str | bytes],
        *,
        recovery_dir: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._url = engines.parse_store_url(url)
        self.name = engines.shown(self._url)
        self.cipher = TokenCipher(keys)
        self.recovery = RecoveryFiles(recovery_dir or self._default_recovery_dir(), self.cipher)
        self._clock = clock
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"SqlTokenStore({self.name!r})"

    @property
    def is_local(self) -> bool:
        """Whether the store is a file of this machine, which workers elsewhere cannot share."""
        return self._url.get_backend_name() == "sqlite"

    def _default_recovery_dir(self) -> Path:
        if self.is_local:
            return Path(f"{self._url.database}.recovery")
        return Path(tempfile.gettempdir()) / f"oauth_taskflow-{os.getuid()}"

    def _now(self) -> ColumnElement[float]:
        """The clock that leases and expiry go by: the database's, which all workers share."""
        return database_clock(self._url.get_backend_name())

    def read(self, grant_key: str) -> GrantRecord:
        """The record as it is now; an empty one when there is none."""
        return self._run(lambda connection: self._select(connection, grant_key), writes=False)

    def acquire(
        self, grant_key: str, *, owner: str, ttl: float, breaking: int | None = None
    ) -> GrantRecord | None:
        """Take the lease if it is free, has run out, or belongs to the dead holder ``breaking``."""
        free = or_(GRANTS.c.lease_until.is_(None), GRANTS.c.lease_until <= self._now())
        if breaking is not None:
            free = or_(free, GRANTS.c.fence == breaking)
        statement = (
            update(GRANTS)
            .where(GRANTS.c.grant_key == grant_key, free)
            .values(
                lease_owner=owner,
                lease_until=self._now() + ttl,
                fence=GRANTS.c.fence + 1,
                revision=GRANTS.c.revision + 1,
            )
        )

        def take(connection: Connection) -> GrantRecord | None:
            if connection.execute(statement).rowcount == 1:
                return self._select(connection, grant_key)
            return None

        taken = self._run(take, writes=True)
        if taken is None and self._run(lambda c: self._insert(c, grant_key), writes=True):
            taken = self._run(take, writes=True)
        return taken

    def change(self, record: GrantRecord, edit: Edit) -> GrantRecord:
        """Apply ``edit`` to what is stored, starting from ``record``, atomically."""
        current = record
        while True:
            wanted = edit(current)
            if wanted is None:
                return current
            wanted = self._next(current, wanted)
            values = {**to_columns(wanted, self.cipher), "updated_at": self._now()}
            if self._run(lambda c, v=values, r=current: self._update(c, r, v), writes=True):  # type: ignore[misc]
                return wanted
            current = self.read(record.grant_key)

    def forget(self, grant_key: str) -> None:
        """Delete the record, tokens included."""
        statement = delete(GRANTS).where(GRANTS.c.grant_key == grant_key)
        self._run(lambda connection: connection.execute(statement), writes=True)

    @staticmethod
    def _next(current: GrantRecord, wanted: GrantRecord) -> GrantRecord:
        changed = wanted.secret_part != current.secret_part
        return replace(
            wanted, revision=current.revision + 1, version=current.version + (1 if changed else 0)
        )

    @staticmethod
    def _update(connection: Connection, current: GrantRecord, values: dict[str, Any]) -> bool:
        same = (GRANTS.c.grant_key == current.grant_key, GRANTS.c.revision == current.revision)
        return connection.execute(update(GRANTS).where(*same).values(values)).rowcount == 1

    @staticmethod
    def _insert(connection: Connection, grant_key: str) -> bool:
        """Add the missing row; False when it is there, from before or from somebody faster."""
        found = select(GRANTS.c.fence).where(GRANTS.c.grant_key == grant_key)
        if connection.execute(found).first() is not None:
            return False
        try:
            connection.execute(insert(GRANTS).values(grant_key=grant_key, **EMPTY_ROW))
        except IntegrityError:
            connection.rollback()
        return True

    def _select(self, connection: Connection, grant_key: str) -> GrantRecord:
        monotonic, wall = self._clock.monotonic(), self._clock.now()
        statement = select(self._now().label("now"), GRANTS).where(GRANTS.c.grant_key == grant_key)
        row = connection.execute(statement).first()
        if row is not None:
            return to_record(row, Reading(row.now, wall, monotonic), self.cipher)
        now = connection.execute(select(self._now())).scalar_one()
        return GrantRecord(grant_key, read=Reading(now, wall, monotonic))

    def _run(self, work: Callable[[Connection], _T], *, writes: bool) -> _T:
        """``work`` in one transaction, tried again for a while when the database is busy or away."""
        attempt = 1
        while True:
            try:
                return self._once(work, writes=writes)
            except SQLAlchemyError as failure:
                if attempt == _ATTEMPTS or not isinstance(failure, OperationalError):
                    raise self._error(failure) from failure
            self._clock.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # jitter
            attempt += 1

    def _once(self, work: Callable[[Connection], _T], *, writes: bool) -> _T:
        with self._connected().connect() as connection:
            connection.execution_options(oauth_taskflow_writes=writes)
            with connection.begin():
                return work(connection)

    def _connected(self) -> Engine:
        """The engine of this process; connections of a parent are dropped, not closed: they are the parent's."""
        if self._pid != os.getpid():
            self._forked()
        with self._lock:
            if self._engine is None:
                engine = engines.new_engine(self._url)
                create_schema(engine)
                self._engine = engine
            return self._engine

    def _forked(self) -> None:
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
            where=f"at {self.name}",
            hint="Check that the database of [oauth_taskflow] token_store is up and writable.",
        )
        error.retryable = isinstance(failure, OperationalError)
        return error
