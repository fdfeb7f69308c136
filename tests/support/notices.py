"""The memory of a store of notices."""

from __future__ import annotations

from sqlalchemy import select

from oauth_taskflow.notices.sent import Sent, read_sent
from oauth_taskflow.notices.store import NoticeStore
from oauth_taskflow.notices.table import NOTICES


def list_sent(store: NoticeStore, conn_id: str) -> dict[str, Sent]:
    """The last notices about troubles of a connection that are not over, by channel."""
    statement = select(NOTICES.c.channel, NOTICES.c.sent).where(NOTICES.c.conn_id == conn_id)
    rows = store._database.run(lambda c: c.execute(statement).all(), writes=False)
    return {row.channel: read_sent(row.sent) for row in rows}
