"""The API server's answers to questions about grants and notices, of tasks that keep grants alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.notices.store import NoticeStore, Topic
from oauth_taskflow.notices.trouble import look_at
from oauth_taskflow.taskflow.broker import notice_wire as wire
from oauth_taskflow.taskflow.broker.notice_wire import NoticeQuestion
from oauth_taskflow.taskflow.broker.questions import read_value, unreadable_question
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.sessions import token_manager
from oauth_taskflow.tokens.registry import open_store

if TYPE_CHECKING:
    from oauth_taskflow.connections.parse import AirflowConnection

Find = Callable[[str], "AirflowConnection | None"]
# One answer must not take longer than a worker waits; slow secrets backends get several questions.
_NAMES_WITHIN, _MOST_NAMES = 2.0, 100


def answer_notice(body: Any, settings: ConnectionSettings, team: str) -> Any:
    """Returns the answer to a question about the grant of the connection of ``settings``, which ``team`` owns.

    Raises:
        ConnectionConfigError: the question makes no sense, or the connection stores no grant.
        TokenStoreError: the store failed, or has no room for more channels of this connection.
    """
    asked = read_value(NoticeQuestion, body)
    if asked.operation == "look":
        return _look(settings, asked)
    place = f"{team}/{settings.conn_id}" if team else settings.conn_id
    topic, store = Topic(place, asked.channel), _open(store_url())
    if asked.operation == "claim":
        troubles, repeat_after = wire.read_wish(asked.arguments)
        store.admit(topic)
        claim = store.claim(topic, troubles, owner=asked.owner, repeat_after=repeat_after)
        return wire.write_claim(claim)
    if asked.operation == "list":
        raise unreadable_question()  # it is about no connection
    finish = store.settle if asked.operation == "settle" else store.release
    return finish(topic, asked.owner)


def _look(settings: ConnectionSettings, asked: NoticeQuestion) -> Any:
    auth = settings.auth
    if not isinstance(auth, OAuth2Settings):
        raise ConnectionConfigError(
            "This connection stores no grant",
            conn_id=settings.conn_id,
            field="auth_type",
            hint="Keep grants of connections with auth_type oauth2 alive only.",
        )
    limits = wire.read_limits(asked.arguments)
    record = token_manager(settings, auth, brokered=True).stored.read()
    by_person, has_seed = auth.grant_type == "refresh_token", bool(auth.refresh_token)
    return wire.write_look(look_at(record, limits, by_person=by_person, has_seed=has_seed))


@lru_cache(maxsize=4)
def _open(url: str) -> NoticeStore:
    return NoticeStore(url)


def list_connections(body: Any, find: Find) -> tuple[list[str], str | None]:
    """Returns names of connections with a stored grant that the asking task may read, and where to go on; None at the end.

    ``find`` looks a connection up as it is done for that task.

    Raises:
        ConnectionConfigError: the question makes no sense.
        TokenStoreError: the store failed.
    """
    asked = read_value(NoticeQuestion, body)
    after = read_value(str, asked.arguments)
    if asked.operation != "list":
        raise unreadable_question()
    names = sorted({name for name, _ in open_store(store_url(), fernet_keys()).list_grants()})
    until, found = time.monotonic() + _NAMES_WITHIN, list[str]()
    for name in names:
        if name <= after:
            continue
        if len(found) == _MOST_NAMES or time.monotonic() > until:
            return found, after
        if name and find(name) is not None:
            found.append(name)
        after = name
    return found, None
