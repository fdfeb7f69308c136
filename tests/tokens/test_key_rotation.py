"""The Fernet key changes: nothing is lost, and no spent refresh token comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import ScriptedEndpoint, grants, script_endpoint

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


def manager(
    folder: Path, clock: FakeClock, endpoint: ScriptedEndpoint, *keys: bytes
) -> TokenManager:
    """The same grant, seen with those keys."""
    store = ClockedStore(f"sqlite:///{folder}/t.db", keys, clock=clock)
    return TokenManager.for_grant(store, endpoint, RefreshToken("seed"), clock=clock)


def test_keys_rotate_without_a_consent_and_without_reuse(tmp_path: Path, clock: FakeClock) -> None:
    endpoint = script_endpoint(*[grants(clock, f"at-{n}", f"rt-{n}") for n in (1, 2, 3)])
    manager(tmp_path, clock, endpoint, OLD).token()
    assert manager(tmp_path, clock, endpoint, NEW, OLD).token().access_token == "at-1"
    manager(tmp_path, clock, endpoint, NEW, OLD).renew("at-1")
    manager(tmp_path, clock, endpoint, NEW).renew("at-2")
    assert endpoint.sent == ["seed", "rt-1", "rt-2"]


def test_a_key_that_is_gone_too_early_is_named_and_nothing_is_sent(
    tmp_path: Path, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "at-1", "rt-1"))
    manager(tmp_path, clock, endpoint, OLD).token()
    worker = manager(tmp_path, clock, endpoint, NEW)
    for look in (worker.token, worker.stored.read):  # a task, and `airflow oauth refresh`
        with pytest.raises(TokenUndecryptable, match="no key of the ring opens it") as reported:
            look()
        assert f"for connection {endpoint.conn_id!r}" in str(reported.value)
        assert f"airflow oauth login {endpoint.conn_id}." in str(reported.value)
    assert manager(tmp_path, clock, endpoint, NEW, OLD).token().access_token == "at-1"
    assert endpoint.sent == ["seed"]
