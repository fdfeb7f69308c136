"""Answers of secrets backends that offer no list: whether they hold a connection. A backend may hang, so its own thread asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.connections.summary import ConnectionSummary, summarize
from oauth_taskflow.taskflow.config import presets_folder
from oauth_taskflow.taskflow.grants.connection_list import BackendFailed, find_in_backends

# Seconds for which an answer is believed, and after which a backend that failed is asked again; how many connections are asked
# for during one look.
_BELIEVED = 300.0
_ASKED_AGAIN = 15.0
_MOST_ASKED = 5


class BackendAnswer(Struct, frozen=True):
    """Whether a connection exists, believed until that second of the monotonic clock; None: a backend failed."""

    until: float
    exists: bool | None
    summary: ConnectionSummary | None = None


class BackendAnswers:
    """The latest answer about each connection; one that is too old counts until the next one comes."""

    def __init__(
        self,
        ask: Callable[[str], Any | None] = find_in_backends,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._find = ask
        self._clock = clock
        self._known: dict[str, BackendAnswer] = {}
        self._lock = threading.Lock()

    def find(self, conn_ids: Iterable[str], wait: float) -> dict[str, BackendAnswer | None]:
        """The answers about ``conn_ids``, None where it is not known; asks for some of them, for ``wait`` seconds at most.

        The question goes on in the background afterwards, and no other one is asked meanwhile.
        """
        wanted, now = sorted(conn_ids), self._clock.monotonic()
        due = [one for one in wanted if one not in self._known or self._known[one].until < now]
        if due and self._lock.acquire(blocking=False):
            some = due[:_MOST_ASKED]
            thread = threading.Thread(
                target=self._ask_all, args=(some,), name="oauth-backends", daemon=True
            )
            thread.start()
            thread.join(wait)
        known = {one: self._known.get(one) for one in wanted}
        return {
            one: None if answer is None or answer.exists is None else answer
            for one, answer in known.items()
        }

    def _ask_all(self, conn_ids: Iterable[str]) -> None:
        """Called with the lock, which it releases."""
        try:
            for conn_id in conn_ids:
                self._known[conn_id] = self._ask(conn_id)
        finally:
            self._lock.release()

    def _ask(self, conn_id: str) -> BackendAnswer:
        try:
            found = self._find(conn_id)
        except BackendFailed:
            return self._forgive(self._known.get(conn_id))
        until = self._clock.monotonic() + _BELIEVED
        if found is None:
            return BackendAnswer(until, exists=False)
        summary = summarize(found.conn_type, found.extra, presets_folder())
        return BackendAnswer(until, exists=True, summary=summary)

    def _forgive(self, before: BackendAnswer | None) -> BackendAnswer:
        """The answer of a backend that failed: the one before, for a while."""
        until = self._clock.monotonic() + _ASKED_AGAIN
        return BackendAnswer(until, None) if before is None else replace(before, until=until)
