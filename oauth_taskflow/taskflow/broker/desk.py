"""Where the API server answers questions of tasks that are not about tokens: briefly, and never many at once."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow.broker import budget_wire, notice_wire, watermark_wire
from oauth_taskflow.taskflow.broker.budget_stores import open_shared_budgets
from oauth_taskflow.taskflow.broker.notice_server import answer_notice
from oauth_taskflow.taskflow.broker.questions import Asked, unreadable_question
from oauth_taskflow.taskflow.broker.watermark_server import answer_watermark

if TYPE_CHECKING:
    from oauth_taskflow.connections.settings import ConnectionSettings

_T = TypeVar("_T")
# From the body of a question, the connection, its team and the moment at which the question came.
Answer = Callable[[Any, "ConnectionSettings", str, float], Any]
# As for tokens: workers abandon a question after 5 s, and the API server has few threads.
_ANSWER_WITHIN = 4.0
_THREADS, _MOST_WAITING, _MOST_OF_ONE = 8, 64, 16


class _Desk:
    """The threads that answer, and how many questions of each connection are under way; a forked child begins again."""

    pool: ClassVar[ThreadPoolExecutor | None] = None
    under_way: ClassVar[Counter[str]] = Counter()
    lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def forget(cls) -> None:
        cls.pool, cls.under_way, cls.lock = None, Counter(), threading.Lock()

    @classmethod
    def submit(cls, conn_id: str, work: Callable[[], _T]) -> Future[_T]:
        """Lets a thread do ``work``.

        Raises:
            TokenStoreError: there are too many questions already.
        """
        with cls.lock:
            total = sum(cls.under_way.values())
            if total >= _MOST_WAITING or cls.under_way[conn_id] >= _MOST_OF_ONE:
                raise _busy_error(conn_id)
            if cls.pool is None:
                cls.pool = ThreadPoolExecutor(_THREADS, "oauth_taskflow-desk")
            future = cls.pool.submit(work)
            cls.under_way[conn_id] += 1
        future.add_done_callback(lambda _: cls._leave(conn_id))
        return future

    @classmethod
    def _leave(cls, conn_id: str) -> None:
        with cls.lock:
            cls.under_way[conn_id] -= 1
            if cls.under_way[conn_id] <= 0:
                del cls.under_way[conn_id]


os.register_at_fork(after_in_child=_Desk.forget)


def answer_question(asked: Asked, settings: ConnectionSettings, team: str) -> Any:
    """Returns the answer to ``asked`` by a task that may read the connection of ``settings``, which ``team`` owns.

    Raises:
        TokenStoreError: the store failed, or there is no time; the task asks again.
        ConnectionConfigError: it is not a question of this release.
    """
    answer = _ANSWERS.get(asked.kind)
    if answer is None:
        raise unreadable_question()
    began = time.monotonic()
    return answer_briefly(settings.conn_id, lambda: answer(asked.body, settings, team, began))


def answer_briefly(conn_id: str, work: Callable[[], _T]) -> _T:
    """Returns the result of ``work``, which answers a question about ``conn_id``, if it comes in time.

    Raises:
        TokenStoreError: there is no time; the task asks again.
    """
    future = _Desk.submit(conn_id, work)
    try:
        return future.result(_ANSWER_WITHIN)
    except NotYet:
        future.cancel()
        raise _busy_error(conn_id) from None


def _busy_error(conn_id: str) -> TokenStoreError:
    error = TokenStoreError(
        "The API server has no time for more questions of tasks",
        where=f"for connection {conn_id!r}",
        hint="Ask again. If that persists, look at the database of [oauth_taskflow] token_store.",
        retry_after=1.0,
    )
    error.retryable = True
    return error


def _answer_budget(body: Any, settings: ConnectionSettings, team: str, began: float) -> Any:
    ask = budget_wire.read_ask(body)
    store = open_shared_budgets(settings, team)
    reading = store.ask(ask)
    unstated = [c.window.key for c in ask.charges if not store.is_stated(c.window.key)]
    return budget_wire.write_reading(reading, began, time.monotonic(), unstated)


def _answer_watermark(body: Any, settings: ConnectionSettings, team: str, _: float) -> Any:
    return answer_watermark(body, settings, team)


def _answer_notice(body: Any, settings: ConnectionSettings, team: str, _: float) -> Any:
    return answer_notice(body, settings, team)


_ANSWERS: dict[str, Answer] = {
    budget_wire.KIND: _answer_budget,
    watermark_wire.KIND: _answer_watermark,
    notice_wire.KIND: _answer_notice,
}


def missing_error(conn_id: str) -> ConnectionConfigError:
    """Returns the error for a connection that the task may not read, or that is not there."""
    return ConnectionConfigError(
        "The API server has no connection of this package by that name for this task",
        conn_id=conn_id,
        hint="Check the name, and the team that owns the connection.",
    )
