"""A task's side of questions about grants and notices in broker mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oauth_taskflow.notices.store import Claim, Topic
from oauth_taskflow.notices.trouble import Limits, Look, Trouble
from oauth_taskflow.taskflow.broker import notice_wire as wire
from oauth_taskflow.taskflow.broker.channel import ask_about
from oauth_taskflow.taskflow.broker.notice_wire import NoticeQuestion


class BrokerNoticeKeeper:
    """What ``NoticeKeeper`` promises; each operation is a question to the API server.

    Raises:
        TokenStoreError: the API server is away, or its store.
    """

    def __init__(self, ask: Callable[..., Any] = ask_about) -> None:
        self._ask = ask

    def __repr__(self) -> str:
        return "BrokerNoticeKeeper()"

    def look(self, conn_id: str, limits: Limits) -> Look:
        """Returns what is to be said of the grant of a connection.

        Raises:
            UnknownQuestion: the API server knows no such questions: it has an earlier release, or no broker.
            OAuthTaskflowError: the error that the broker raised.
        """
        body = NoticeQuestion("look", arguments=wire.write_limits(limits))
        return wire.read_look(self._ask(conn_id, wire.KIND, body))

    def list_connections(self) -> list[str]:
        """Returns the connections with a stored grant that this task may read; raises as ``look`` does."""
        names: list[str] = []
        after: str | None = ""
        while after is not None:
            found, after = self._ask("", wire.KIND, NoticeQuestion("list", arguments=after))
            names += found
        return names

    def claim(
        self,
        topic: Topic,
        troubles: Sequence[Trouble],
        *,
        owner: str,
        repeat_after: float | None = None,
    ) -> Claim:
        """See ``NoticeKeeper``."""
        wish = wire.write_wish(tuple(troubles), repeat_after)
        body = NoticeQuestion("claim", topic.channel, owner, wish)
        return wire.read_claim(self._ask(topic.conn_id, wire.KIND, body))

    def settle(self, topic: Topic, owner: str) -> None:
        """See ``NoticeKeeper``."""
        self._ask(topic.conn_id, wire.KIND, NoticeQuestion("settle", topic.channel, owner))

    def release(self, topic: Topic, owner: str) -> None:
        """See ``NoticeKeeper``."""
        self._ask(topic.conn_id, wire.KIND, NoticeQuestion("release", topic.channel, owner))
