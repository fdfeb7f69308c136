"""How many tokens this process fetched, for summaries and metrics."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress

from oauth_taskflow.tokens.steps import Event, Step

_counts: Counter[str] = Counter()
_lock = threading.Lock()


def observe(event: Event) -> None:
    """Count a token that was fetched and stored; the observer of every token manager of this process."""
    if event.step is not Step.PERSISTED:
        return
    with _lock:
        _counts[event.conn_id] += 1
    # A metric is never worth a failed refresh; the module moved between Airflow releases.
    with suppress(Exception):
        from airflow.sdk.observability import stats  # noqa: PLC0415 - only when a token was fetched

        stats.incr("oauth_taskflow.token_refresh", tags={"conn_id": event.conn_id})


def refreshes(conn_id: str) -> int:
    """Tokens fetched for the Connection ``conn_id`` since this process began."""
    with _lock:
        return _counts[conn_id]
