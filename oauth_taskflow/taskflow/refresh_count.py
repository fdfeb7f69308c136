"""How many tokens this process fetched, for summaries."""

from __future__ import annotations

import threading
from collections import Counter

from oauth_taskflow.tokens.events import Event, Step

_counts: Counter[str] = Counter()
_lock = threading.Lock()


def observe(event: Event) -> None:
    """Count a token that was fetched and stored; an observer of token managers."""
    if event.step is Step.PERSISTED:
        with _lock:
            _counts[event.conn_id] += 1


def refreshes(conn_id: str) -> int:
    """Tokens fetched for the Connection ``conn_id`` since this process began."""
    with _lock:
        return _counts[conn_id]
