"""What the server saw: every request, in order of arrival, and counters of what matters for tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from oauth_taskflow.testing.messages import Pairs, Request, pairs


@dataclass(frozen=True)
class LoggedRequest:
    """One request. ``time`` is seconds since the epoch at its arrival.

    ``status`` is None while it is unanswered and for ever when the connection was dropped instead. Header names are
    in Title-Case. It holds what the client sent, secrets included, but its ``repr`` does not show them.
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
        """The form fields of the body by name; of repeated ones the last."""
        return dict(pairs(self.body))


@dataclass(frozen=True)
class Counters:
    """How often it happened since the server started.

    ``token_requests`` counts arrivals at the token endpoint, answered or not; ``tokens_issued`` the access tokens
    that came of them; ``refreshes`` the share of refresh tokens in that; ``reuse_detected`` presentations of a spent
    refresh token outside its grace period; ``revoked_families`` the families which that (or a test) ended; ``logins`` answered ``POST /auth/token`` requests.
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
        """The counters now."""
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

    def arrived(self, request: Request, now: float) -> int:
        """Log ``request``; the number is what ``answered`` wants."""
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

    def answered(self, number: int, status: int) -> None:
        """Complete an entry, unless it was cleared away meanwhile."""
        with self._lock:
            if number in self._entries:
                self._entries[number] = replace(self._entries[number], status=status)
