"""Keeps the ledgers in the token store's database, one row for each budget. A question is one short transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from oauth_taskflow.budgets.ledger import Ledger, Window
from oauth_taskflow.budgets.slots import Ask, grant_slots
from oauth_taskflow.budgets.store import TimedGrant
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.tokens.sql import engine as engines
from oauth_taskflow.tokens.sql.table import (
    LARGE_TEXT,
    TABLE_OPTIONS,
    database_clock,
)
from oauth_taskflow.tokens.sql.transactions import Database

_LABEL = 250
METADATA = MetaData()
BUDGETS = Table(
    "oauth_taskflow_budget",
    METADATA,
    Column("budget_key", String(64), primary_key=True),
    Column("label", String(_LABEL), nullable=False),
    Column("ledger", LARGE_TEXT, nullable=False),
    Column("updated_at", Double, nullable=True),
    **TABLE_OPTIONS,
)


class SqlBudgetStore:
    """The ledgers in a SQLite file, PostgreSQL, MySQL or MariaDB. Safe for threads and for processes that fork.

    Raises:
        TokenStoreError: the URL is unusable.
    """

    def __init__(self, url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        parsed = engines.parse_store_url(url)
        self.name = engines.redact_store_url(parsed)
        self._clock = clock
        self._now = select(database_clock(parsed.get_backend_name()).label("now"))
        self._database = Database(parsed, clock, (BUDGETS,), set_up=_spare_the_disk)

    def __repr__(self) -> str:
        return f"SqlBudgetStore({self.name!r})"

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        self._database.close()

    def ask(self, question: Ask) -> TimedGrant:
        """Answers ``question`` in one transaction, which is repeated while the database is busy or away.

        A commit may have succeeded unnoticed. Slots that were given out twice are lost for a period, which does no
        harm; slots are therefore returned by the first try alone.
        """
        pending = [question]

        def work(connection: Connection) -> TimedGrant | None:
            asked = pending[0]
            if asked.returned:
                pending[0] = _drop_returned(asked)
            return self._answer(connection, asked)

        reading = self._database.run(work, writes=True)
        if reading is None:
            self._insert_missing([charge.window for charge in question.charges])
            pending[0] = question
            reading = self._database.run(work, writes=True)
        assert reading is not None, "the rows were inserted"
        return reading

    def count_budgets(self, prefix: str, keys: Sequence[str]) -> tuple[int, int]:
        """How many of ``keys`` have a ledger, and how many budgets with a label that begins with ``prefix``."""
        known = select(func.count()).where(BUDGETS.c.budget_key.in_(keys))
        begin = func.substr(BUDGETS.c.label, 1, len(prefix))
        labelled = select(func.count()).where(begin == prefix)

        def count(connection: Connection) -> tuple[int, int]:
            return connection.execute(known).scalar_one(), connection.execute(labelled).scalar_one()

        return self._database.run(count, writes=False)

    def forget_budgets(self, prefix: str, seconds: float) -> None:
        """Forget the budgets with a label that begins with ``prefix`` and that no worker asked for in so many ``seconds``."""
        old = delete(BUDGETS).where(
            func.substr(BUDGETS.c.label, 1, len(prefix)) == prefix,
            BUDGETS.c.updated_at < self._now.scalar_subquery() - seconds,
        )
        self._database.run(lambda connection: connection.execute(old), writes=True)

    def _answer(self, connection: Connection, question: Ask) -> TimedGrant | None:
        """The answer to ``question``; None if a budget has no row yet. Rows are locked in the order of their keys."""
        keys = sorted({charge.window.key for charge in question.charges})
        rows = connection.execute(
            select(BUDGETS.c.budget_key, BUDGETS.c.ledger)
            .where(BUDGETS.c.budget_key.in_(keys))
            .order_by(BUDGETS.c.budget_key)
            .with_for_update()
        ).all()
        if len(rows) < len(keys):
            return None
        texts = {row.budget_key: row.ledger for row in rows}
        ledgers = {key: Ledger.decode(text) for key, text in texts.items()}
        # After the rows were locked: the wait for another worker must not make this instant an old one.
        before = self._clock.monotonic()
        now = float(connection.execute(self._now).scalar_one())
        after = self._clock.monotonic()
        grant = grant_slots(question, [ledgers[c.window.key] for c in question.charges], now)
        changed = [
            {"wanted": key, "text": encoded}
            for key, ledger in ledgers.items()
            if (encoded := ledger.encode()) != texts[key]
        ]
        if changed:
            connection.execute(
                update(BUDGETS)
                .where(BUDGETS.c.budget_key == bindparam("wanted"))
                .values(ledger=bindparam("text"), updated_at=now),
                changed,
            )
        return TimedGrant(grant, before, after)

    def _insert_missing(self, windows: Sequence[Window]) -> None:
        for window in windows:
            row = {"budget_key": window.key, "label": window.label[:_LABEL], "ledger": ""}
            self._database.run(lambda connection, row=row: _insert(connection, row), writes=True)  # type: ignore[misc]  # bound per row


def _insert(connection: Connection, row: dict[str, str]) -> None:
    """Add the row, unless it is there."""
    try:
        connection.execute(insert(BUDGETS).values(**row))
    except IntegrityError:
        connection.rollback()


def _drop_returned(question: Ask) -> Ask:
    return replace(question, returned=())


def _spare_the_disk(engine: Engine) -> None:
    """Spares SQLite the wait for the disk: after a power cut a budget may be forgotten."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_writing_to_later)


def _leave_writing_to_later(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


_stores: dict[str, SqlBudgetStore] = {}
_lock = threading.Lock()


def open_budget_store(url: str) -> SqlBudgetStore:
    """The store at ``url``, the same object for the same URL in this process; nothing is opened before its first use.

    Raises:
        TokenStoreError: the URL is unusable.
    """
    with _lock:
        if url not in _stores:
            _stores[url] = SqlBudgetStore(url)
        return _stores[url]
