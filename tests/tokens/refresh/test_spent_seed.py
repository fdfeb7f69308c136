"""The connection's refresh token was rotated under other settings: it is spent, and is not sent under the new ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from tests.oauth.raw_server import http_answer
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.rotating import Rotating, plain, rotating


def manager(
    store: ClockedStore, server: Rotating, scope: str, seed: str = "seed-token", conn: str = "crm"
) -> TokenManager:
    """A worker whose connection asks for ``scope``."""
    client, clock = Client("me", "client-secret"), store._clock
    endpoint = TokenEndpoint(server.url, client, conn_id=conn, clock=clock)
    return TokenManager.for_grant(
        store, endpoint, RefreshToken(seed, GrantOptions(scope=scope)), clock=clock
    )


def test_a_changed_scope_does_not_send_a_spent_refresh_token(store: ClockedStore) -> None:
    with rotating(plain) as server:
        manager(store, server, "read").token()
        for _ in range(2):
            with pytest.raises(ConnectionConfigError, match="is spent"):
                manager(store, server, "read write").token()
        store._clock.sleep(7200)
        assert manager(store, server, "read").token().access_token == "access-token-number-2"
    assert server.sent == ["seed-token", "refresh-token-number-1"]


def test_a_new_refresh_token_is_taken_with_a_changed_scope(store: ClockedStore) -> None:
    with rotating(plain) as server:
        manager(store, server, "read").token()
        server.current = "new consent"
        manager(store, server, "read write", "new consent").token()
    assert server.sent == ["seed-token", "new consent"]
    assert not server.revoked


def test_a_refresh_token_that_was_not_rotated_works_with_a_changed_scope(
    store: ClockedStore,
) -> None:
    def same(access_token: str, _refresh_token: str) -> bytes:
        server.current = "seed-token"
        return http_answer(200, b'{"access_token": "%s"}' % access_token.encode())

    with rotating(same) as server:
        for scope in ("read", "read write"):
            manager(store, server, scope).token()
    assert server.sent == ["seed-token"] * 2


def test_a_grant_of_another_connection_is_ignored(store: ClockedStore) -> None:
    with rotating(plain) as server:
        manager(store, server, "read").token()
        server.current = "seed-token"
        manager(store, server, "read write", conn="other").token()
    assert not server.revoked


def test_a_grant_that_no_key_opens_does_not_say_that_a_refresh_token_is_spent(
    store: ClockedStore, tmp_path: Path
) -> None:
    with rotating(plain) as server:
        manager(store, server, "read").token()
        server.current = "seed-token"
        without_key = ClockedStore(
            f"sqlite:///{tmp_path}/tokens.db", [Fernet.generate_key()], clock=store._clock
        )
        manager(without_key, server, "read write").token()
    assert server.sent == ["seed-token"] * 2
