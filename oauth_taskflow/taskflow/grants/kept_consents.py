"""Consents whose answers wait in files of this machine: they are stored as soon as the token store is back."""

from __future__ import annotations

import logging
import threading

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import OAuthTaskflowError, TokenStoreError
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.tokens.registry import open_store

_log = logging.getLogger(__name__)
# Seconds between two attempts to store them: the first pause, and the longest.
_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_running = threading.Lock()
_reported: set[str] = set()


def store_kept_consents() -> bool:
    """Store every consent whose answer waits here; returns False when the store is away.

    If the connection was edited since, the grant is stored as the earlier one that it is: it counts again when the edit is
    undone, and can be forgotten. A connection that cannot be used any more is named in the log, once.

    Raises:
        TokenStoreError: the store's URL or keys are unusable.
    """
    waiting = open_store(store_url(), fernet_keys()).recovery.list_consents()
    return all(_store_one(conn_id, grant_key) for conn_id, grant_key in sorted(waiting))


def _store_one(conn_id: str, grant_key: str) -> bool:
    try:
        load_managed_grant(conn_id).manager.stored.import_consents_to(grant_key)
    except OAuthTaskflowError as failure:
        if conn_id not in _reported:
            _log.warning("a consent for connection %r is not stored yet: %s", conn_id, failure)
            _reported.add(conn_id)
        return not isinstance(failure, TokenStoreError)
    _reported.discard(conn_id)
    return True


def store_kept_later(clock: Clock = SYSTEM_CLOCK) -> None:
    """Store waiting consents in the background, again and again while the store is away; one thread per process does so."""
    threading.Thread(
        target=_store_until_done, args=(clock,), name="oauth-kept-consents", daemon=True
    ).start()


def _store_until_done(clock: Clock) -> None:
    if not _running.acquire(blocking=False):
        return
    pause = _PAUSE
    try:
        while not store_kept_consents():
            clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    except Exception as bug:  # noqa: BLE001  # no caller waits; by name only: its text may hold a secret
        _log.error("waiting consents cannot be stored: %s", type(bug).__name__)
    finally:
        _running.release()
