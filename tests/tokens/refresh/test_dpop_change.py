"""A grant whose ``dpop`` changes takes along what it needs to be refreshed, and leaves behind what no longer holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import InvalidGrant, OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.refresh import dpop_change
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Lease

KEYS = [Fernet.generate_key()]
ASKED = "airports.read airports.write"
GRANTED = "airports.read"


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


def worker(
    server: OAuthTestServer, folder: Path, dpop: str, keys: Sequence[bytes] = KEYS
) -> TokenManager:
    """A worker whose connection asks for two scopes and says ``dpop``; nothing is in memory."""
    store = SqlTokenStore(f"sqlite:///{folder}/tokens.db", keys)
    client = Client(server.client_id, server.client_secret)
    endpoint = TokenEndpoint(server.token_url, client, conn_id="crm", dpop=dpop)
    server.dpop.required = bool(dpop)
    return TokenManager.for_grant(store, endpoint, RefreshToken("", GrantOptions(scope=ASKED)))


def log_in(server: OAuthTestServer, manager: TokenManager, dpop: str = "") -> None:
    """The person agrees to less than the connection asks for."""
    client = Client(server.client_id, server.client_secret)
    agreed = RefreshToken(server.issue_refresh_token(scope=GRANTED), GrantOptions(scope=GRANTED))
    outcome = TokenEndpoint(server.token_url, client, dpop=dpop).exchange(agreed)
    assert isinstance(outcome, Granted)
    manager.stored.expect_consent().store(outcome)


def test_a_moved_grant_goes_on_with_the_scope_that_the_person_granted(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    log_in(server, worker(server, tmp_path, ""))
    assert worker(server, tmp_path, "ES256").token().scope == GRANTED
    # Twice in a row before a token comes: only what was taken along holds the scope.
    server.fault("/oauth/token", status=500, body="", times=2)
    with pytest.raises(Exception, match="unavailable"):
        worker(server, tmp_path, "ES384").token()
    assert worker(server, tmp_path, "ES512").token().scope == GRANTED
    assert server.counters.reuse_detected == 0


def test_a_revocation_forgets_a_moved_refresh_token(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    log_in(server, worker(server, tmp_path, ""))
    server.fault("/oauth/token", status=500, body="", times=2)
    moved = worker(server, tmp_path, "ES256")
    with pytest.raises(Exception, match="unavailable"):
        moved.token()
    assert moved.stored.read().scope == GRANTED
    moved.stored.store_revocation(moved.stored.read())
    assert moved.stored.read().scope == ""


def test_a_refresh_token_that_is_bound_to_a_key_outlives_a_refusal_without_proof(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    proving = worker(server, tmp_path, "ES256")
    log_in(server, proving, "ES256")
    before = proving.stored.read()
    for _ in range(2):
        server.fault("/oauth/token", status=400, body='{"error": "invalid_grant"}')
        without = worker(server, tmp_path, "")
        with pytest.raises(InvalidGrant, match="Set dpop again as it was"):
            without.token()
        asked = server.counters.token_requests
        with pytest.raises(InvalidGrant, match="Set dpop again as it was"):
            without.token()
        assert server.counters.token_requests == asked  # known by all
        assert without.stored.read().state is GrantState.NEEDS_CONSENT
        again = worker(server, tmp_path, "ES256")
        assert again.token().dpop_key == before.dpop_key
    assert server.counters.reuse_detected == 0


def test_a_refusal_with_proof_does_not_blame_dpop(server: OAuthTestServer, tmp_path: Path) -> None:
    proving = worker(server, tmp_path, "ES256")
    log_in(server, proving, "ES256")
    server.fault("/oauth/token", status=400, body='{"error": "invalid_grant"}')
    held = proving.stored.read().token
    assert held is not None
    with pytest.raises(InvalidGrant) as raised:
        proving.renew(held.access_token)
    assert "dpop" not in str(raised.value)


def test_a_move_waits_for_the_worker_that_refreshes_the_former_grant(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    former = worker(server, tmp_path, "")
    log_in(server, former)
    store, key = former.stored._context.store, former.stored._context.grant_key
    held = store.acquire(key, owner="elsewhere", ttl=0.4, waits=False)
    assert held is not None
    moved = worker(server, tmp_path, "ES256").token()
    assert held.lease.until is not None
    assert moved.obtained_at >= held.lease.until - 0.1
    assert former.stored.read().refresh_token is None
    assert server.counters.reuse_detected == 0


def test_a_former_grant_that_no_key_opens_is_left_where_it_is(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    former = worker(server, tmp_path, "")
    log_in(server, former)
    with pytest.raises(OAuthTaskflowError) as caught:
        worker(server, tmp_path, "ES256", [Fernet.generate_key()]).token()
    assert server.counters.token_requests == 1  # the login's own
    assert "refresh token" in str(caught.value)
    assert former.stored.read().refresh_token is not None


@pytest.mark.parametrize("lease", [Lease(None, None, 3), Lease("they", 190.0, 4)])
def test_who_lost_its_lease_neither_takes_nor_removes_a_refresh_token(lease: Lease) -> None:
    mine = Lease("me", 90.0, 3)
    record = GrantRecord("key", refresh_token="rt", lineage="mark", origin="other", lease=lease)
    for transition in (
        dpop_change._adopt(mine, GrantRecord("other", refresh_token="rt-2")),
        dpop_change._empty(mine),
        dpop_change._finish_move(mine),
    ):
        assert transition(record) is None
