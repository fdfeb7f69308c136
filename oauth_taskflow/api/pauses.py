"""The log of a session's waits before another attempt: each with its reason, and few lines however many requests wait."""

from __future__ import annotations

import logging
import threading

import requests
from msgspec import Struct

from oauth_taskflow.api.request_secrets import redact_request_url
from oauth_taskflow.clock import Clock
from oauth_taskflow.line_pace import LinePace
from oauth_taskflow.waits import note_wait

_log = logging.getLogger(__name__)
# Lines that may come at once; a request that is tried again some times gets each of its lines.
_AT_ONCE = 5


class PauseReason(Struct, frozen=True):
    """Why another attempt follows: a ``text`` for the log, and the ``kind`` under which waits are added up."""

    text: str
    kind: str

    @staticmethod
    def of(error: Exception) -> PauseReason:
        """The reason that ``error``, a failure of the network, is."""
        name = type(error).__name__
        return PauseReason(name, name)


class PauseLog:
    """Logs the waits of one session; safe to use from any thread.

    Beyond five lines, one follows every ten seconds, and names how many waits had none.
    """

    def __init__(self, clock: Clock) -> None:
        self._pace = LinePace(clock, _AT_ONCE)
        self._lock = threading.Lock()
        self._unsaid, self._unsaid_seconds = 0, 0.0

    def note(self, seconds: float, request: requests.PreparedRequest, reason: PauseReason) -> None:
        """Notes that ``request`` waits before its next attempt, and logs it when it is time."""
        note_wait(reason.kind, seconds)
        with self._lock:
            if not self._pace.take():
                self._unsaid += 1
                self._unsaid_seconds += seconds
                return
            unsaid, total = self._unsaid, self._unsaid_seconds
            self._unsaid, self._unsaid_seconds = 0, 0.0
        more = f" ({unsaid:,} more waits since the last line, {total:.1f} s)" if unsaid else ""
        where = redact_request_url(request)
        values = (reason.text, request.method, where, seconds, more)
        _log.info("%s from %s %s; next try in %.1f s%s", *values)
