"""Keeps the sent notices in the token store's database: SQLite, PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.notices.sent import (
    Choice,
    Sent,
    apply_choice,
    choose_notice,
    read_sent,
    write_sent,
)
from oauth_taskflow.notices.table import NOTICES
from oauth_taskflow.notices.trouble import Trouble
from oauth_taskflow.tokens.sql.engine import parse_store_url, redact_store_url
from oauth_taskflow.tokens.sql.table import database_clock
from oauth_taskflow.tokens.sql.transactions import Database

CLAIM_SECONDS = 300.0
"""How long a worker may take to send one notice; after that, another worker sends it."""
_MOST_CHANNELS = 200
# A team's name before that of a connection makes it longer than the column.
_LONGEST_ID = 250


class Topic(Struct, frozen=True):
    """The owner of notices: those about the Connection ``conn_id`` that go to ``channel``, which has 250 characters at most."""

    conn_id: str
    channel: str

    @property
    def key(self) -> str:
        """The key of its row."""
        return hashlib.sha256(f"{self.conn_id}\0{self.channel}".encode()).hexdigest()


class Claim(Struct, frozen=True):
    """A worker's right to send one notice. ``is_busy``: another worker has it at the moment."""

    choice: Choice | None = None
    is_busy: bool = False


class NoticeKeeper(Protocol):
    """Keeps the sent notices. Every operation raises ``TokenStoreError`` when the store fails."""

    def claim(
        self,
        topic: Topic,
        troubles: Sequence[Trouble],
        *,
        owner: str,
        repeat_after: float | None = None,
    ) -> Claim:
        """Choose the next notice and take the right to send it; ``owner`` names this attempt alone, in 64 characters."""

    def settle(self, topic: Topic, owner: str) -> None:
        """Remember that the notice was sent."""

    def release(self, topic: Topic, owner: str) -> None:
        """Give the right back: the notice was not sent."""


class NoticeStore:
    """Lets one of all workers send each notice; every operation is one short transaction.

    A worker that dies between sending and ``settle`` makes another one send the notice a second time, once the claim has
    lapsed: a notice comes twice rather than never. Safe for threads and for processes that fork. Nothing is opened before
    the first operation.

    Raises:
        TokenStoreError: the URL is unusable; operations raise it when the database fails.
    """

    def __init__(self, url: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._url = parse_store_url(url)
        self.name = redact_store_url(self._url)
        self._clock = clock
        self._database = Database(self._url, clock, (NOTICES,))

    def __repr__(self) -> str:
        return f"NoticeStore({self.name!r})"

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        self._database.close()

    def now(self) -> ColumnElement[float]:
        """The database's clock, which all workers share."""
        return database_clock(self._url.get_backend_name())

    def claim(
        self,
        topic: Topic,
        troubles: Sequence[Trouble],
        *,
        owner: str,
        repeat_after: float | None = None,
    ) -> Claim:
        """See ``NoticeKeeper``. The same ``owner`` gets the same claim again: a commit may have succeeded unnoticed."""

        def take(connection: Connection) -> Claim:
            row = self._lock(connection, topic)
            if row.claim not in {None, owner} and row.claimed_until > row.now:
                return Claim(is_busy=True)
            if row.claim == owner:
                return Claim(_read_choice(row.pending))
            sent = read_sent(row.sent)
            choice = choose_notice(sent, troubles, row.now, repeat_after)
            if not choice.kind:
                self._write_sent(connection, topic, apply_choice(sent, choice, row.now))
                return Claim()
            until = self.now() + CLAIM_SECONDS
            values = {
                "pending": msgspec.json.encode(choice).decode(),
                "claim": owner,
                "claimed_until": until,
            }
            connection.execute(update(NOTICES).where(_is(topic)).values(values))
            return Claim(choice)

        if not troubles and not self._exists(topic):
            return Claim()
        return self._database.run(take, writes=True)

    def settle(self, topic: Topic, owner: str) -> None:
        """See ``NoticeKeeper``. Changes nothing if the claim lapsed and another worker has it."""

        def write(connection: Connection) -> None:
            row = self._lock(connection, topic)
            if row.claim == owner:
                choice = _read_choice(row.pending)
                sent = apply_choice(read_sent(row.sent), choice, row.now)
                self._write_sent(connection, topic, sent)

        self._database.run(write, writes=True)

    def release(self, topic: Topic, owner: str) -> None:
        """See ``NoticeKeeper``."""
        statement = (
            update(NOTICES)
            .where(_is(topic), NOTICES.c.claim == owner)
            .values(claim=None, claimed_until=None, pending=None)
        )
        self._database.run(lambda connection: connection.execute(statement), writes=True)

    def admit(self, topic: Topic) -> None:
        """Check that there is room for one more channel of a connection.

        Raises:
            TokenStoreError: the connection has too many channels, and this one is new.
        """
        count = select(func.count()).where(
            NOTICES.c.conn_id == topic.conn_id[:_LONGEST_ID], ~_is(topic)
        )
        others = self._database.run(lambda c: c.execute(count).scalar_one(), writes=False)
        if others >= _MOST_CHANNELS and not self._exists(topic):
            raise TokenStoreError(
                f"There are too many channels for notices ({_MOST_CHANNELS})",
                where=f"for connection {topic.conn_id!r}",
                hint="Give the connection fewer notifiers.",
            )

    def _exists(self, topic: Topic) -> bool:
        statement = select(NOTICES.c.revision).where(_is(topic))
        found = self._database.run(lambda c: c.execute(statement).first(), writes=False)
        return found is not None

    def _lock(self, connection: Connection, topic: Topic) -> Any:
        """Locks the row of ``topic`` until the transaction ends, and returns it; adds it where it is missing."""
        grown = update(NOTICES).where(_is(topic)).values(revision=NOTICES.c.revision + 1)
        while connection.execute(grown).rowcount == 0:
            with suppress(IntegrityError), connection.begin_nested():  # another worker was faster
                connection.execute(insert(NOTICES).values(_new_row(topic)))
        return connection.execute(select(NOTICES, self.now().label("now")).where(_is(topic))).one()

    def _write_sent(self, connection: Connection, topic: Topic, sent: Sent) -> None:
        """Writes the sent notices and removes the claim. A row that says nothing is deleted."""
        if not sent:
            connection.execute(delete(NOTICES).where(_is(topic)))
            return
        free = {"claim": None, "claimed_until": None, "pending": None}
        values = {"sent": write_sent(sent), "changed_at": self.now(), **free}
        connection.execute(update(NOTICES).where(_is(topic)).values(values))


def _is(topic: Topic) -> ColumnElement[bool]:
    return NOTICES.c.topic_key == topic.key


def _new_row(topic: Topic) -> dict[str, Any]:
    return {
        "topic_key": topic.key,
        "conn_id": topic.conn_id[:_LONGEST_ID],
        "channel": topic.channel,
        "revision": 0,
        "sent": "{}",
    }


def _read_choice(text: str) -> Choice:
    return msgspec.json.decode(text, type=Choice)
