"""A refresh-token grant for tests: its manager, its record, and what other workers do to it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantRecord
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    ScriptedEndpoint,
)


def manager(
    store: ClockedStore, endpoint: ScriptedEndpoint, seed: str = "seed-token", **fields: Any
) -> TokenManager:
    """A manager of a refresh-token grant on the store's clock."""
    return TokenManager.for_grant(store, endpoint, RefreshToken(seed), clock=store._clock, **fields)


def read_stored(store: ClockedStore, under_test: TokenManager) -> GrantRecord:
    return store.read(under_test.grant_key)


def rotate_elsewhere(store: ClockedStore, key: str, clock: FakeClock, name: str) -> None:
    """Store a new pair, as a worker on another machine does."""

    def transition(record: GrantRecord) -> GrantRecord:
        token = Token(f"at-{name}", clock.now(), clock.now() + 3600)
        refresh_token = f"rt-{name}"
        mark = store.cipher.fingerprint(refresh_token)
        return replace(record, token=token, refresh_token=refresh_token, lineage=mark)

    store.change(store.read(key), transition)


def give_alternates(store: ClockedStore, under_test: TokenManager, *alternates: str) -> None:
    store.change(read_stored(store, under_test), lambda r: replace(r, alternates=alternates))
