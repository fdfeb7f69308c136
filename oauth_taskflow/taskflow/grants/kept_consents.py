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
# By connection: why its consent is not stored yet.
_reported: dict[str, str] = {}


def store_kept_consents() -> bool:
    """Store every consent whose answer waits here; returns whether none waits any more.

    If the connection was edited since, the grant is stored as the earlier one that it is: it counts again when the edit is
    undone, and can be forgotten. A connection that cannot be used is named in the log, once for
    each reason.

    Raises:
        TokenStoreError: the store's URL or keys are unusable.
    """
    waiting = open_store(store_url(), fernet_keys()).recovery.list_consents()
    are_stored = True
    for conn_id, grant_key in sorted(waiting):
        failure = _store_one(conn_id, grant_key)
        if isinstance(failure, TokenStoreError):  # the others would wait for it as long
            return False
        are_stored = are_stored and failure is None
    return are_stored


def _store_one(conn_id: str, grant_key: str) -> OAuthTaskflowError | None:
    try:
        load_managed_grant(conn_id).manager.stored.import_consents_to(grant_key)
    except OAuthTaskflowError as failure:
        if _reported.get(conn_id) != str(failure):
            _log.warning("a consent for connection %r is not stored yet: %s", conn_id, failure)
        _reported[conn_id] = str(failure)
        return failure
    _reported.pop(conn_id, None)
    return None


class KeptConsentWatch:
    """Stores waiting consents in the background, again and again until none waits; one thread per process does so."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._is_running = False
        self._is_asked = False

    def begin(self) -> None:
        """Have the consents stored that wait now. A thread that runs already looks once more before it ends."""
        with self._lock:
            self._is_asked = True
            if not self._is_running:
                threading.Thread(target=self._run, name="oauth-kept-consents", daemon=True).start()
                self._is_running = True

    def _run(self) -> None:
        pause = _PAUSE
        while self._take_turn():
            if _try_to_store():
                continue
            self._clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            with self._lock:
                self._is_asked = True

    def _take_turn(self) -> bool:
        with self._lock:
            self._is_running, self._is_asked = self._is_asked, False
            return self._is_running


def _try_to_store() -> bool:
    try:
        return store_kept_consents()
    except Exception as failure:  # noqa: BLE001  # no caller waits; by name only: its text may hold a secret
        _log.error("waiting consents are not stored yet: %s", type(failure).__name__)
        return False


WATCH = KeptConsentWatch()


def begin_if_any_waits() -> None:
    """Have consents stored that a server of this machine left when it was killed, or that wait for the store.

    Raises:
        TokenStoreError: the store's URL or keys are unusable.
    """
    if open_store(store_url(), fernet_keys()).recovery.list_consents():
        WATCH.begin()
