"""All records of a store at once, without their secrets; only records that changed since the last time are decrypted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Row, select

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.sql.table import GRANTS, to_record
from oauth_taskflow.tokens.sql.transactions import Database
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord

# Databases take a limited number of parameters in one statement.
_MOST_KEYS = 500


class ListedGrant(Struct, frozen=True):
    """One stored grant: its record without secrets, or why no key opens it."""

    conn_id: str
    grant_key: str
    record: GrantRecord | None = None
    failure: TokenUndecryptable | None = None


class GrantListing:
    """Reads every grant of ``database``. Safe for threads.

    Between two readings it keeps each record without tokens, by the revision of its row.
    """

    def __init__(
        self,
        database: Database,
        cipher: TokenCipher,
        clock: Clock,
        now: Callable[[], ColumnElement[float]],
    ) -> None:
        self._database, self._cipher, self._clock, self._now = database, cipher, clock, now
        self._known: dict[str, tuple[int, ListedGrant]] = {}
        self._lock = threading.Lock()

    def read(self) -> list[ListedGrant]:
        """Every grant as it is now, sorted by connection and grant key.

        Raises:
            TokenStoreError: the store failed.
        """
        with self._lock:
            read_at, listed = self._database.run(self._read_all, writes=False)
        return [
            one if one.record is None else replace(one, record=replace(one.record, read_at=read_at))
            for one in listed
        ]

    def _read_all(self, connection: Connection) -> tuple[ClockSample, list[ListedGrant]]:
        monotonic, wall = self._clock.monotonic(), self._clock.now()
        now = connection.execute(select(self._now())).scalar_one()
        read_at = ClockSample(now, wall, monotonic)
        columns = (GRANTS.c.grant_key, GRANTS.c.revision)
        rows = connection.execute(select(*columns)).all()
        changed = [
            row.grant_key for row in rows if self._revision_of(row.grant_key) != row.revision
        ]
        present = {row.grant_key for row in rows}
        known = {key: kept for key, kept in self._known.items() if key in present}
        for first in range(0, len(changed), _MOST_KEYS):
            for row in self._select(connection, changed[first : first + _MOST_KEYS]):
                known[row.grant_key] = row.revision, self._open(row, read_at)
        self._known = known
        listed = (one for _, one in known.values())
        return read_at, sorted(listed, key=lambda one: (one.conn_id, one.grant_key))

    def _revision_of(self, grant_key: str) -> int | None:
        kept = self._known.get(grant_key)
        return None if kept is None else kept[0]

    @staticmethod
    def _select(connection: Connection, keys: Sequence[str]) -> Sequence[Row[tuple[object, ...]]]:
        return connection.execute(select(GRANTS).where(GRANTS.c.grant_key.in_(keys))).all()

    def _open(self, row: Row[tuple[object, ...]], read_at: ClockSample) -> ListedGrant:
        try:
            record = to_record(row, read_at, self._cipher)
        except TokenUndecryptable as failure:
            return ListedGrant(str(row.conn_id), str(row.grant_key), failure=failure)
        except (AttributeError, KeyError, TypeError, ValueError) as damage:
            return ListedGrant(str(row.conn_id), str(row.grant_key), failure=_explain(row, damage))
        return ListedGrant(record.conn_id, record.grant_key, record.without_secrets())


def _explain(row: Row[tuple[object, ...]], damage: Exception) -> TokenUndecryptable:
    """One damaged row must not hide the others; by name only, because the text may quote it."""
    return TokenUndecryptable(
        f"The stored grant cannot be read ({type(damage).__name__})",
        where=f"in grant {str(row.grant_key)[:12]}",
        hint="A newer release may have written it; otherwise forget it and authorize the connection again.",
    )
