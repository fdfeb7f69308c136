"""The log of the server: every request in order of arrival, and counters about tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from oauth_taskflow.testing.messages import Pairs, Request, pairs


@dataclass(frozen=True)
class LoggedRequest:
    """One request. ``time`` is seconds since the epoch at its arrival.

    Until the response is sent, and when the connection is dropped instead, the ``status`` remains None. Header names
    are in Title-Case. It contains everything that the client sent, secrets included, but its ``repr`` hides them.
    """

    time: float
    method: str
    path: str
    query: Pairs = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: str = field(repr=False)
    status: int | None = None

    @property
    def params(self) -> dict[str, str]:
        """The query parameters by name."""
        return dict(self.query)

    @property
    def form(self) -> dict[str, str]:
        """The form fields of the body by name; the last of repeated fields."""
        return dict(pairs(self.body))


@dataclass(frozen=True)
class Counters:
    """Counts of events since the server started.

    ``token_requests`` counts requests to the token endpoint, with or without a response. ``tokens_issued`` counts the
    access tokens that they returned, and ``refreshes`` those of them that a refresh token obtained. ``reuse_detected``
    counts uses of a spent refresh token outside its grace period, and ``revoked_families`` the families that such a use
    (or a test) ended. ``logins`` counts ``POST /auth/token`` requests with a response.
    """

    token_requests: int = 0
    tokens_issued: int = 0
    refreshes: int = 0
    reuse_detected: int = 0
    revoked_families: int = 0
    logins: int = 0


class RequestLog:
    """Requests and counters, safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, LoggedRequest] = {}
        self._arrivals = 0
        self._counts: dict[str, int] = {}

    @property
    def entries(self) -> list[LoggedRequest]:
        """A copy of all entries, in order of arrival."""
        with self._lock:
            return list(self._entries.values())

    @property
    def counters(self) -> Counters:
        """The current counters."""
        with self._lock:
            return Counters(**self._counts)

    def count(self, name: str) -> None:
        """Add one to the counter ``name``."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def clear(self) -> None:
        """Forget all entries; counters stay."""
        with self._lock:
            self._entries.clear()

    def log_arrival(self, request: Request, now: float) -> int:
        """Log ``request``; returns its number for ``log_status``."""
        entry = LoggedRequest(
            time=now,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=dict(request.headers),
            body=request.body.decode("utf-8", "replace"),
        )
        with self._lock:
            self._arrivals += 1
            self._entries[self._arrivals] = entry
            return self._arrivals

    def log_status(self, number: int, status: int) -> None:
        """Add the status to an entry, unless the log was cleared meanwhile."""
        with self._lock:
            if number in self._entries:
                self._entries[number] = replace(self._entries[number], status=status)
