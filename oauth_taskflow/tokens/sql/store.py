"""The token store in a SQL database: a SQLite file, PostgreSQL or MySQL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    cast,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.sql import engine as engines
from oauth_taskflow.tokens.sql.listing import GrantListing, ListedGrant
from oauth_taskflow.tokens.sql.table import EMPTY_ROW, GRANTS, database_clock, to_columns, to_record
from oauth_taskflow.tokens.sql.transactions import Database
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord, Lease
from oauth_taskflow.tokens.state.transitions import Transition


class SqlTokenStore:
    """Keeps one row per grant; every operation is one short transaction, timed by the database's clock.

    Safe for threads and for processes that fork. Nothing is opened before the first operation.

    Args:
        url: database URL; ``sqlite:////path/file.db`` for a file of one machine.
        keys: Fernet keys, newest first.
        recovery_dir: the folder for answers that the database does not take; next to the SQLite file by default.
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
        self.name = engines.redact_store_url(self._url)
        self.cipher = TokenCipher(keys)
        self.recovery = RecoveryFiles(recovery_dir or _recovery_dir(self._url), self.cipher)
        self._clock = clock
        self._database = Database(self._url, clock)
        self._listing = GrantListing(self._database, self.cipher, clock, self._now)
        # Built once: workers that wait for another one's refresh read often, and building costs as much as reading.
        self._select_row = select(self._now().label("now"), GRANTS).where(
            GRANTS.c.grant_key == bindparam("wanted")
        )

    def __repr__(self) -> str:
        return f"SqlTokenStore({self.name!r})"

    @property
    def is_local(self) -> bool:
        """Whether the store is a file of this machine, which workers elsewhere cannot share."""
        return self._url.get_backend_name() == "sqlite"

    def _now(self) -> ColumnElement[float]:
        """The clock that leases and expiry go by: the database's, which all workers share."""
        return database_clock(self._url.get_backend_name())

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        self._database.close()

    def read(self, grant_key: str) -> GrantRecord:
        """The record as it is now; an empty one if the grant is not stored."""
        return self._database.run(
            lambda connection: self._select(connection, grant_key), writes=False
        )

    def list_grants(self) -> list[tuple[str, str]]:
        """Connection and grant key of every record, sorted; nothing is decrypted."""
        statement = select(GRANTS.c.conn_id, GRANTS.c.grant_key).order_by(
            GRANTS.c.conn_id, GRANTS.c.grant_key
        )

        def rows(connection: Connection) -> list[tuple[str, str]]:
            return [(row.conn_id, row.grant_key) for row in connection.execute(statement)]

        return self._database.run(rows, writes=False)

    def list_records(self) -> list[ListedGrant]:
        """Every grant without its secrets, sorted by connection; only what changed since the last call is decrypted."""
        return self._listing.read()

    def acquire(
        self,
        grant_key: str,
        *,
        owner: str,
        ttl: float,
        breaking: int | None = None,
        lapsed: int | None = None,
        waits: bool = True,
    ) -> GrantRecord | None:
        """Take the lease if it is free, has run out, is ours, or belongs to the dead holder ``breaking``."""
        over = GRANTS.c.lease_until <= self._now()
        free = or_(
            GRANTS.c.lease_until.is_(None),
            over if lapsed is None else and_(over, GRANTS.c.fence == lapsed),
            # Taken already, in a commit whose result never arrived.
            GRANTS.c.lease_owner == owner,
        )
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

        if waits:
            taken = self._database.run(take, writes=True)
        else:
            taken = self._database.write_at_once(take)
        if taken is not None or self._exists(grant_key):
            return taken
        self._database.run(lambda connection: self._insert(connection, grant_key), writes=True)
        return self._database.run(take, writes=True)

    def prolong(self, grant_key: str, lease: Lease, *, ttl: float, waits: bool) -> bool:
        """Make ``lease`` last ``ttl`` seconds from now on; False if it is not in force, or the store is busy or away."""
        mine = (GRANTS.c.fence == lease.fence, GRANTS.c.lease_owner == lease.owner)
        # Another revision: a change that began with the lease as it was must not put it back.
        statement = (
            update(GRANTS)
            .where(GRANTS.c.grant_key == grant_key, *mine)
            .values(lease_until=self._now() + ttl, revision=GRANTS.c.revision + 1)
        )

        def write(connection: Connection) -> bool:
            return connection.execute(statement).rowcount == 1

        if waits:
            return self._database.run(write, writes=True)
        return self._database.try_once(write) or False

    def _exists(self, grant_key: str) -> bool:
        """Whether there is a row. Only reads: many workers ask at once, and the one with the lease wants to write."""
        statement = select(GRANTS.c.fence).where(GRANTS.c.grant_key == grant_key)
        return self._database.run(
            lambda connection: connection.execute(statement).first() is not None, writes=False
        )

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        """Apply ``transition`` to what is stored, starting from ``record``, atomically."""
        current = record
        while True:
            wanted = transition(current)
            if wanted is None:
                return current
            wanted = _count_revision(current, wanted)
            if self._write(current, wanted):
                return wanted
            before, current = current, self.read(record.grant_key)
            if current.revision == before.revision:  # no other worker was faster: the row is gone
                return current

    def forget(self, grant_key: str) -> None:
        """Delete the record, tokens included."""
        statement = delete(GRANTS).where(GRANTS.c.grant_key == grant_key)
        self._database.run(lambda connection: connection.execute(statement), writes=True)

    def _write(self, current: GrantRecord, wanted: GrantRecord) -> bool:
        """Replace ``current`` with ``wanted``; False if the stored record is another one by now."""
        values = {**to_columns(wanted, self.cipher), "updated_at": self._now()}
        same = (GRANTS.c.grant_key == current.grant_key, GRANTS.c.revision == current.revision)
        statement = update(GRANTS).where(*same).values(values)
        return self._database.run(lambda c: c.execute(statement).rowcount == 1, writes=True)

    def _insert(self, connection: Connection, grant_key: str) -> None:
        """Add the missing row, unless another worker was faster."""
        first = self._first_number()
        row = {**EMPTY_ROW, "grant_key": grant_key, "fence": first, "revision": first}
        try:
            connection.execute(insert(GRANTS).values(row))
        except IntegrityError:
            connection.rollback()

    def _first_number(self) -> ColumnElement[int]:
        """SQL for the number at which fence and revision of a new row begin: milliseconds since the epoch.

        They must be above those of a row that was forgotten: by them, its workers' late answers are recognized.
        """
        return cast(self._now() * 1000, BigInteger)

    def _select(self, connection: Connection, grant_key: str) -> GrantRecord:
        monotonic, wall = self._clock.monotonic(), self._clock.now()
        row = connection.execute(self._select_row, {"wanted": grant_key}).first()
        if row is not None:
            return to_record(row, ClockSample(row.now, wall, monotonic), self.cipher)
        now = connection.execute(select(self._now())).scalar_one()
        return GrantRecord(grant_key, read_at=ClockSample(now, wall, monotonic))


def _recovery_dir(url: URL) -> Path:
    if url.get_backend_name() == "sqlite":
        return Path(f"{url.database}.recovery")
    return Path(tempfile.gettempdir()) / f"oauth_taskflow-{os.getuid()}"


def _count_revision(current: GrantRecord, wanted: GrantRecord) -> GrantRecord:
    """``wanted`` as the next revision, and as the next version if the encrypted part changed."""
    changed = wanted.secret_part != current.secret_part
    version = current.version + (1 if changed else 0)
    return replace(wanted, revision=current.revision + 1, version=version)
