"""Every connection of this package that can be listed, with its stored grants."""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.grant_status import (
    GrantStatus,
    read_status,
    unreadable_status,
)
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.store import TokenStore


class ConnectionOverview(Struct, frozen=True, kw_only=True):
    """One connection with its stored grants; ``team`` is its team in a deployment with several, else None."""

    conn_id: str
    team: str | None = None
    grants: tuple[GrantStatus, ...] = ()


def read_overview() -> list[ConnectionOverview]:
    """Every connection with stored grants, by its id.

    Raises:
        TokenStoreError: the store failed.
    """
    store = open_store(store_url(), fernet_keys())
    grants: defaultdict[str, list[GrantStatus]] = defaultdict(list)
    for conn_id, key in store.list_grants():
        grants[conn_id].append(_read_one(store, conn_id, key))
    return [
        ConnectionOverview(conn_id=conn_id, grants=tuple(found))
        for conn_id, found in sorted(grants.items())
    ]


def _read_one(store: TokenStore, conn_id: str, grant_key: str) -> GrantStatus:
    try:
        return read_status(store.read(grant_key))
    except TokenUndecryptable as failure:
        return unreadable_status(conn_id, grant_key, failure)
