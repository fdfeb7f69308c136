"""Decides which responses are followed by another attempt, and how long to wait before it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Literal

from msgspec import Struct

from oauth_taskflow.http_headers import retry_after, server_now

ResetDialect = Literal["epoch", "epoch_ms", "seconds", "iso"]
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_RATE_LIMIT_STATUSES = frozenset({429, 503, 509})
_LONGEST_BELIEVED = 31 * 86400.0
_NUMBER = re.compile(r"\s*\d+(\.\d+)?\s*")
_IETF_LEFT = re.compile(r"(?:^|[;,\s])(?:r|remaining)\s*=\s*(\d+)")
_IETF_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*(\d+)")


class RetryPolicy(Struct, frozen=True):
    """How a session repeats requests after transient errors. All times are in seconds.

    ``attempts`` includes the first. The back-off doubles from ``backoff`` up to ``backoff_cap``; half of each wait is
    random, so that workers do not return in step. A wait that the server names is observed exactly, up to
    ``longest_wait``. A longer one is raised as a retryable error, which frees the worker slot.

    Only idempotent methods (RFC 9110 §9.2.2) and requests with an ``Idempotency-Key`` header are repeated, unless
    ``retry_post`` says that a POST only reads. ``reset_header`` is read in the dialect ``reset``. Without a dialect it is
    ignored, because epoch seconds and remaining seconds look alike.
    """

    attempts: int = 5
    backoff: float = 0.5
    backoff_cap: float = 30.0
    longest_wait: float = 120.0
    retry_post: bool = False
    statuses: frozenset[int] = TRANSIENT_STATUSES
    reset: ResetDialect | None = None
    reset_header: str = "X-RateLimit-Reset"

    def repeats(self, method: str | None) -> bool:
        """Whether a request of this method may be sent twice."""
        return self.retry_post or (method or "GET").upper() in IDEMPOTENT_METHODS

    def transient(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether another attempt may succeed; after a 403 only when its headers report a used-up rate limit."""
        return status in self.statuses or (status == 403 and is_rate_limited(headers))

    def backoff_seconds(self, attempt: int) -> float:
        """The wait after attempt number ``attempt`` (from 1) when the server names none."""
        full = min(self.backoff_cap, self.backoff * 2.0 ** min(attempt - 1, 30))
        return full / 2 + random.uniform(0, full / 2)  # noqa: S311 - spreads load, guards nothing

    def server_wait(
        self, status: int, headers: Mapping[str, str], now: float, *, limited: bool = False
    ) -> float | None:
        """The wait in seconds that the response asks for, or None; ``now`` is in seconds since the epoch.

        ``limited`` says that a rate limit is used up, whatever the status. The wait is at most 31 days, as long as the
        longest quotas: some servers name the year 9999, which Airflow's scheduler cannot add to a date.
        """
        wait = retry_after(headers, now)
        if wait is not None and wait < 0:
            wait = None
        if wait is None and (limited or status in _RATE_LIMIT_STATUSES or status == 403):
            wait = reset_wait(headers, self.reset_header, self.reset, now)
        return None if wait is None else min(wait, _LONGEST_BELIEVED)


def is_rate_limited(headers: Mapping[str, str]) -> bool:
    """Whether the headers of a 403 report a used-up rate limit, as GitHub's do."""
    return "Retry-After" in headers or headers.get("X-RateLimit-Remaining", "").strip() == "0"


def is_used_up(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a response says that a rate limit is used up, which concerns the requests of all workers."""
    return status == 429 or (status == 403 and is_rate_limited(headers))


def is_overload(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a response says that requests come too fast or too many at once."""
    return status in _RATE_LIMIT_STATUSES or (status == 403 and is_rate_limited(headers))


def reset_wait(
    headers: Mapping[str, str], header: str, dialect: ResetDialect | None, now: float
) -> float | None:
    """Seconds until the rate limit resets, from ``header`` by its ``dialect`` or from the IETF ``RateLimit``."""
    value = headers.get(header, "").strip()
    if dialect is not None and value:
        wait = _reset_seconds(value, dialect, server_now(headers, now))
        return None if wait is None else max(0.0, wait)
    ietf = headers.get("RateLimit", "")
    left, reset = _IETF_LEFT.search(ietf), _IETF_RESET.search(ietf)
    if left and reset and left[1] == "0":
        return float(reset[1])
    return None


def _reset_seconds(value: str, dialect: ResetDialect, now: float) -> float | None:
    if dialect == "iso":
        try:
            instant = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
        except ValueError:
            return None
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=timezone.utc)
        return instant.timestamp() - now
    if not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return {"seconds": number, "epoch": number - now, "epoch_ms": number / 1000 - now}[dialect]
