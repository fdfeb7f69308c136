"""Makes stored tokens older, for tests that have the API refuse one after the other."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.state.record import GrantRecord


def an_hour_later() -> None:
    """No stored token is one that had just been fetched: a 401 forces a refresh again."""

    def make_older(record: GrantRecord) -> GrantRecord | None:
        token = record.token
        if token is None:
            return None
        older = replace(token, obtained_at=token.obtained_at - 3600)
        return replace(record, token=older, doubted_at=None)

    store = open_store(store_url(), fernet_keys())
    for _, key in store.list_grants():
        store.change(store.read(key), make_older)
