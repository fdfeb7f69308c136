"""Keeps consents in flight in the token store's database. Each operation is one short transaction, timed by its clock."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.consents.record import (
    ANSWER_LIFETIME,
    CONSENT_LIFETIME,
    DeviceTurn,
    PendingConsent,
    TakenConsent,
    Wait,
    new_ticket,
)
from oauth_taskflow.consents.table import CONSENTS
from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.sql import engine as engines
from oauth_taskflow.tokens.sql.table import database_clock
from oauth_taskflow.tokens.sql.transactions import Database

# A flood of attempts must not fill the database, nor one user keep the others out: people start a handful in ten minutes.
_MOST_IN_FLIGHT = 1000
_MOST_OF_USER = 20
# Both ciphertexts of a row name their place, so that one cannot be read as the other.
_CONTENT, _ANSWER = 0, 1


class Parking(Enum):
    """Why an answer was not kept."""

    UNKNOWN = "unknown"
    REPEATED = "repeated"


class Parked(SecretValue, frozen=True):
    """An answer was kept; ``ticket`` is for the browser that brought it, which goes on with the connection ``conn_id``."""

    conn_id: str
    ticket: Hidden[str]


class SqlConsentStore:
    """Consents in flight in a SQLite file, PostgreSQL, MySQL or MariaDB. Safe for threads and for processes that fork.

    Nothing is opened before the first operation.

    Args:
        url: the token store's URL.
        keys: Fernet keys, newest first.
        clock: this machine's clock.

    Raises:
        TokenStoreError: the URL or a key is unusable.
    """

    def __init__(self, url: str, keys: Sequence[str | bytes], clock: Clock = SYSTEM_CLOCK) -> None:
        parsed = engines.parse_store_url(url)
        self.name = engines.redact_store_url(parsed)
        self._cipher = TokenCipher(keys)
        self._dialect = parsed.get_backend_name()
        self._database = Database(parsed, clock, tables=(CONSENTS,))

    def __repr__(self) -> str:
        return f"SqlConsentStore({self.name!r})"

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        self._database.close()

    def begin(self, pending: PendingConsent, *, lifetime: float = CONSENT_LIFETIME) -> None:
        """Keep ``pending`` for ``lifetime`` seconds, until the answer to its ``state`` comes.

        A user has 20 at most; the oldest one gives way.

        Raises:
            TokenStoreError: too many consents are in flight, or the store failed.
        """
        self._insert(_key("state", pending.state), pending, lifetime, ticket_key=None, pause=0.0)

    def begin_device(self, pending: PendingConsent, *, lifetime: float, interval: float) -> str:
        """Keep ``pending``, which has a device code, for ``lifetime`` seconds; returns its ticket.

        Raises:
            TokenStoreError: too many consents are in flight, or the store failed.
        """
        ticket = new_ticket()
        key = _key("ticket", ticket)
        self._insert(key, pending, lifetime, ticket_key=key, pause=interval)
        return ticket

    def park(self, state: str, answer: Sequence[tuple[str, str]]) -> Parked | Parking:
        """Keep ``answer`` for the consent with ``state``, for five minutes; the first answer counts.

        The ticket is new: a person who knows the state, but did not bring the answer, cannot ask for it.

        Raises:
            TokenUndecryptable: no key opens the consent any more.
            TokenStoreError: the store failed.
        """
        ticket, key = new_ticket(), _key("state", state)
        # Only reads: any browser may ask for a state that does not exist, and people wait to write.
        known = select(CONSENTS).where(
            CONSENTS.c.consent_key == key, CONSENTS.c.expires_at > self._now()
        )
        row = self._database.run(lambda connection: connection.execute(known).first(), writes=False)
        if row is None:
            return Parking.UNKNOWN
        conn_id = self._open(row).conn_id
        sealed = self._cipher.seal(list(answer), grant_key=key, version=_ANSWER)
        mine = _key("ticket", ticket)
        until = self._now() + ANSWER_LIFETIME
        statement = (
            update(CONSENTS)
            .where(CONSENTS.c.consent_key == key, CONSENTS.c.expires_at > self._now())
            # Ours already: in a commit whose result never arrived.
            .where(CONSENTS.c.ticket_key.is_(None) | (CONSENTS.c.ticket_key == mine))
            .values(ticket_key=mine, answer=sealed, expires_at=until)
        )
        kept = self._database.run(
            lambda connection: connection.execute(statement).rowcount == 1, writes=True
        )
        return Parked(conn_id, ticket) if kept else Parking.REPEATED

    def read(self, ticket: str) -> TakenConsent | None:
        """The consent of ``ticket``, which stays here; None if it is over or was handed out.

        Raises:
            TokenUndecryptable: no key opens it any more.
            TokenStoreError: the store failed.
        """
        there = self._select_aged(ticket).where(
            CONSENTS.c.taken_by.is_(None), CONSENTS.c.expires_at > self._now()
        )
        row = self._database.run(lambda connection: connection.execute(there).first(), writes=False)
        return None if row is None else self._open_all(row)

    def prolong(self, ticket: str, *, pause: float) -> None:
        """Keep the consent of ``ticket``, if it is here, until five minutes after ``pause`` seconds.

        Raises:
            TokenStoreError: the store failed.
        """
        statement = (
            update(CONSENTS)
            .where(CONSENTS.c.ticket_key == _key("ticket", ticket))
            .where(CONSENTS.c.taken_by.is_(None), CONSENTS.c.expires_at > self._now())
            .values(expires_at=self._now() + pause + ANSWER_LIFETIME)
        )
        self._database.run(lambda connection: connection.execute(statement), writes=True)

    def take(self, ticket: str) -> TakenConsent | None:
        """Hand out the consent of ``ticket`` and delete it; None if it is over or was handed out before.

        Raises:
            TokenUndecryptable: no key opens it any more.
            TokenStoreError: the store failed.
        """
        key, owner = _key("ticket", ticket), secrets.token_hex(16)
        claim = (
            update(CONSENTS)
            .where(CONSENTS.c.ticket_key == key, CONSENTS.c.expires_at > self._now())
            # Taken already by this call: in a commit whose result never arrived.
            .where(CONSENTS.c.taken_by.is_(None) | (CONSENTS.c.taken_by == owner))
            .values(taken_by=owner)
        )
        row = self._claim(claim, ticket)
        if row is None:
            return None
        self._remove((CONSENTS.c.ticket_key == key) | self._is_over())
        return self._open_all(row)

    def put_back(self, ticket: str, taken: TakenConsent, *, pause: float) -> None:
        """Keep what ``take`` gave, unused, under the same ``ticket``, until five minutes after ``pause`` seconds.

        Raises:
            TokenStoreError: too many consents are in flight, or the store failed.
        """
        key = _key("state", taken.pending.state)
        lifetime = pause + ANSWER_LIFETIME
        ticket_key = _key("ticket", ticket)
        self._insert(key, taken.pending, lifetime, ticket_key=ticket_key, pause=pause, taken=taken)

    def take_turn(self, ticket: str, *, busy: float) -> DeviceTurn | Wait | None:
        """The right to ask about the device code of ``ticket``; None if it is over.

        One caller at a time gets it, for ``busy`` seconds at most: one that dies does not end the consent.
        """
        key = _key("ticket", ticket)
        live = (CONSENTS.c.ticket_key == key, CONSENTS.c.expires_at > self._now())
        claim = (
            update(CONSENTS)
            .where(*live, CONSENTS.c.taken_by.is_(None), CONSENTS.c.ask_at <= self._now())
            .values(ask_at=self._now() + busy)
        )
        row = self._claim(claim, ticket)
        if row is not None:
            return DeviceTurn(self._open(row), float(row.pause))
        statement = select((CONSENTS.c.ask_at - self._now()).label("seconds")).where(
            *live, CONSENTS.c.taken_by.is_(None)
        )
        left = self._database.run(
            lambda connection: connection.execute(statement).scalar(), writes=False
        )
        return None if left is None else Wait(max(0.0, float(left)))

    def wait_for_turn(self, ticket: str, interval: float) -> None:
        """Let the device code of ``ticket`` be asked about in ``interval`` seconds, and as seldom from then on."""
        statement = (
            update(CONSENTS)
            .where(CONSENTS.c.ticket_key == _key("ticket", ticket))
            .values(ask_at=self._now() + interval, pause=interval)
        )
        self._database.run(lambda connection: connection.execute(statement), writes=True)

    def drop_expired(self) -> int:
        """Delete what is over; returns how many rows that were."""
        return self._remove(self._is_over())

    def _insert(
        self,
        key: str,
        pending: PendingConsent,
        lifetime: float,
        *,
        ticket_key: str | None,
        pause: float,
        taken: TakenConsent | None = None,
    ) -> None:
        self.drop_expired()
        content = self._cipher.seal(pending.to_json(), grant_key=key, version=_CONTENT)
        user_key = _key("user", pending.user_id)
        statement = insert(CONSENTS).values(
            consent_key=key,
            user_key=user_key,
            ticket_key=ticket_key,
            content=content,
            answer=self._seal_answer(key, taken),
            ask_at=self._now() + pause,
            pause=pause,
            began_at=self._now() - (taken.age if taken else 0.0),
            expires_at=self._now() + lifetime,
        )
        count = select(func.count()).select_from(CONSENTS)

        def write(connection: Connection) -> bool:
            _make_room(connection, user_key, key)
            if connection.execute(count).scalar_one() >= _MOST_IN_FLIGHT:
                return False
            _insert_once(connection, statement)
            return True

        if not self._database.run(write, writes=True):
            raise TokenStoreError(
                f"More than {_MOST_IN_FLIGHT} consents are in flight",
                where=f"in {self.name}",
                hint="Wait ten minutes, and find out who starts so many.",
            )

    def _select_aged(self, ticket: str) -> Select[Any]:
        """The row of ``ticket`` with its age in seconds."""
        age = (self._now() - CONSENTS.c.began_at).label("age")
        return select(CONSENTS, age).where(CONSENTS.c.ticket_key == _key("ticket", ticket))

    def _claim(self, claim: Update, ticket: str) -> Row[Any] | None:
        """The row of ``ticket`` if ``claim`` changes it, with its age in seconds."""
        chosen = self._select_aged(ticket)

        def write(connection: Connection) -> Row[Any] | None:
            if connection.execute(claim).rowcount != 1:
                return None
            return connection.execute(chosen).one()

        return self._database.run(write, writes=True)

    def _open_all(self, row: Row[Any]) -> TakenConsent:
        return TakenConsent(self._open(row), self._open_answer(row), max(0.0, float(row.age)))

    def _open(self, row: Row[Any]) -> PendingConsent:
        return PendingConsent.from_json(self._decrypt(row, row.content, _CONTENT))

    def _seal_answer(self, key: str, taken: TakenConsent | None) -> str | None:
        if taken is None or taken.answer is None:
            return None
        return self._cipher.seal(list(taken.answer), grant_key=key, version=_ANSWER)

    def _open_answer(self, row: Row[Any]) -> tuple[tuple[str, str], ...] | None:
        if row.answer is None:
            return None
        pairs = self._decrypt(row, row.answer, _ANSWER)
        return msgspec.convert(pairs, tuple[tuple[str, str], ...])

    def _decrypt(self, row: Row[Any], sealed: str, version: int) -> Any:
        try:
            return self._cipher.open(sealed, grant_key=row.consent_key, version=version)
        except TokenUndecryptable:
            raise TokenUndecryptable(
                "The record of this consent cannot be read: no key of the ring opens it",
                where=f"in {self.name}",
                hint="All API servers need the same [core] fernet_key. Then start again.",
            ) from None

    def _remove(self, which: ColumnElement[bool]) -> int:
        statement = delete(CONSENTS).where(which)
        return self._database.run(
            lambda connection: connection.execute(statement).rowcount, writes=True
        )

    def _is_over(self) -> ColumnElement[bool]:
        return CONSENTS.c.expires_at <= self._now()

    def _now(self) -> ColumnElement[float]:
        return database_clock(self._dialect)


def _insert_once(connection: Connection, statement: Any) -> None:
    """Run ``statement``, unless its row is there: a commit may have succeeded unnoticed."""
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except IntegrityError:
        return


def _make_room(connection: Connection, user_key: str, new: str) -> None:
    """Delete the oldest consents of a user who begins another one, ``new``, and has the most that one user may have."""
    mine = CONSENTS.c.user_key == user_key, CONSENTS.c.consent_key != new
    # Read first: MySQL deletes nothing by a subquery with a limit.
    latest_first = select(CONSENTS.c.consent_key).where(*mine).order_by(CONSENTS.c.began_at.desc())
    surplus = connection.scalars(latest_first).all()[_MOST_OF_USER - 1 :]
    if surplus:
        connection.execute(delete(CONSENTS).where(CONSENTS.c.consent_key.in_(surplus)))


def _key(kind: str, secret: str) -> str:
    """A hash. Secrets have 256 random bits, so it needs no key to be safe; user names are not secret."""
    return hashlib.sha256(f"oauth_taskflow {kind}\n{secret}".encode()).hexdigest()


_stores: dict[tuple[str, tuple[str, ...]], SqlConsentStore] = {}
_lock = threading.Lock()


def open_consent_store(url: str, keys: Sequence[str]) -> SqlConsentStore:
    """The store at ``url``, the same object for the same arguments in this process.

    Raises:
        TokenStoreError: the URL or a key is unusable.
    """
    with _lock:
        place = (url, tuple(keys))
        if place not in _stores:
            _stores[place] = SqlConsentStore(url, keys)
        return _stores[place]
