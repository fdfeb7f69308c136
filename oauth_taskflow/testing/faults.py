"""Failures on demand: answers, dropped connections and hangs, each for the next few requests of a path."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from oauth_taskflow.testing.messages import Response


@dataclass(frozen=True)
class Fault:
    """A failure of the next ``times`` requests whose path matches ``path`` (``*`` and ``?`` are wildcards).

    The server waits ``hang`` seconds. It then drops the connection when ``drop`` is set, else responds with ``status``
    when there is one, else handles the request normally. With ``after_commit`` the request is handled first, so that a
    refresh token is rotated although its response is late, lost or replaced.
    """

    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    times: int = 1
    hang: float = 0.0
    drop: bool = False
    after_commit: bool = False

    @property
    def response(self) -> Response | None:
        """The scripted answer, if one is scripted."""
        if self.status is None:
            return None
        return Response(self.status, self.body.encode(), tuple(self.headers.items()))


class FaultScript:
    """The faults still to come, first added first used; safe to use from many threads.

    ``latency``: seconds before every answer, faulty or not; may be changed at any time.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append ``fault``."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Drop all faults that have not happened yet."""
        with self._lock:
            self._waiting.clear()

    def take(self, path: str) -> Fault | None:
        """The first fault for ``path``, used up by one."""
        with self._lock:
            for position, fault in enumerate(self._waiting):
                if fnmatchcase(path, fault.path):
                    rest = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                    self._waiting[position : position + 1] = rest
                    return fault
        return None
