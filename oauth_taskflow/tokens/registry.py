"""One store object per URL and one manager per grant in this process, so that its threads share one refresh."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.tokens.events import Observer, ignore_event
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.store import TokenStore

_stores: dict[tuple[object, ...], SqlTokenStore] = {}
_managers: weakref.WeakValueDictionary[tuple[object, ...], TokenManager] = (
    weakref.WeakValueDictionary()
)


class _Guard:
    """The registry's lock; a forked child gets a new one, because the parent may have held it."""

    lock = threading.Lock()

    @classmethod
    def replace_lock(cls) -> None:
        cls.lock = threading.Lock()  # pragma: no cover  # runs in the child, see test_registry


os.register_at_fork(after_in_child=_Guard.replace_lock)


def open_store(
    url: str,
    keys: Sequence[str | bytes],
    *,
    recovery_dir: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> SqlTokenStore:
    """The store at ``url``, the same object for the same arguments; nothing is opened before its first use.

    ``keys`` are Fernet keys, newest first.

    Raises:
        TokenStoreError: the URL or a key is unusable.
    """
    key = (url, tuple(keys), recovery_dir, clock)
    with _Guard.lock:
        if key not in _stores:
            _stores[key] = SqlTokenStore(url, keys, recovery_dir=recovery_dir, clock=clock)
        return _stores[key]


def manager_for(
    store: TokenStore,
    endpoint: TokenEndpoint,
    grant: Grant,
    *,
    subject: str = "",
    options: ManagerOptions | None = None,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer = ignore_event,
) -> TokenManager:
    """The manager of that grant in this process: the same object for the same grant, secrets, settings and observer.

    It lives as long as a caller holds it.
    """
    new = TokenManager.for_grant(
        store,
        endpoint,
        grant,
        subject=subject,
        options=options,
        clock=clock,
        observer=observer,
    )
    with _Guard.lock:
        known = _managers.get((store.name, new.grant_key))
        if known is not None and known.is_equivalent(new):
            return known
        _managers[store.name, new.grant_key] = new
        return new
