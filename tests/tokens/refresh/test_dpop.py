"""The DPoP key belongs to the grant: made once, kept encrypted, used for every refresh."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace

from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.grant_key import GrantIdentity
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.rescued import RescuedAnswer

KEYS = [Fernet.generate_key()]


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        running.dpop.required = True
        running.dpop.nonces = 20
        yield running


def endpoint(server: OAuthTestServer, dpop: str = "ES256") -> TokenEndpoint:
    client = Client(server.client_id, server.client_secret)
    return TokenEndpoint(server.token_url, client, conn_id="crm", dpop=dpop)


def worker(server: OAuthTestServer, folder: Path, grant: Grant) -> TokenManager:
    """A manager with nothing in memory, as after a restart."""
    store = SqlTokenStore(f"sqlite:///{folder}/tokens.db", KEYS)
    return TokenManager.for_grant(store, endpoint(server), grant)


def test_the_key_survives_a_restart_and_refreshes_go_on_with_it(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    grant = RefreshToken(server.issue_refresh_token())
    first = worker(server, tmp_path, grant).token()
    restarted = worker(server, tmp_path, grant)
    assert restarted.token().access_token == first.access_token
    # The server refuses refresh tokens that come with another key than the one they were issued to.
    second = restarted.replace_refused(first.access_token)
    assert second.access_token != first.access_token
    assert second.dpop_key == first.dpop_key == restarted.stored.read().dpop_key


def test_threads_that_start_together_agree_on_one_key(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    grant = RefreshToken(server.issue_refresh_token())
    managers = [worker(server, tmp_path, grant) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda manager: manager.token(), managers))
    assert len({token.dpop_key for token in tokens}) == 1
    assert server.counters.refreshes == 1


def test_the_key_is_nowhere_in_the_store_file_in_the_clear(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    token = worker(server, tmp_path, ClientCredentials()).token()
    body = token.dpop_key.splitlines()[2].encode()
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert files
    assert not [content for content in files if body in content or b"PRIVATE KEY" in content]


def test_the_key_is_in_the_store_before_it_is_used(server: OAuthTestServer, tmp_path: Path) -> None:
    server.drop_response_after_commit(times=2)
    manager = worker(server, tmp_path, RefreshToken(server.issue_refresh_token()))
    with pytest.raises(Exception, match="Token endpoint"):
        manager.token()
    assert manager.stored.read().dpop_key.startswith("ES256\n")


def test_a_new_consent_brings_its_own_key_and_revocation_drops_it(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    manager = worker(server, tmp_path, RefreshToken(server.issue_refresh_token()))
    old = manager.token()
    outcome = endpoint(server).exchange(RefreshToken(server.issue_refresh_token()))
    assert isinstance(outcome, Granted)
    manager.stored.expect_consent().store(outcome)
    renewed = worker(server, tmp_path, RefreshToken("seed")).stored.read()
    assert renewed.dpop_key == outcome.token.dpop_key != old.dpop_key
    assert manager.replace_refused(old.access_token).dpop_key == outcome.token.dpop_key
    assert manager.stored.store_revocation(manager.stored.read()).dpop_key == ""


def test_dpop_makes_another_grant_and_its_absence_changes_no_known_key(
    server: OAuthTestServer,
) -> None:
    names = ("", "ES256", "ES384")
    keys = [
        GrantIdentity.for_grant(endpoint(server, name), ClientCredentials()).key for name in names
    ]
    assert len(set(keys)) == 3
    # Written down with version 0.1: grants in stores of today must be found again.
    known = GrantIdentity("crm", "https://id.example.com/token", "me", "client_credentials")
    assert known.key == "d55720f5965291db347c1b740949bd3287c10ede1fd942bb605d2444362d7995"


def test_without_dpop_version_0_1_reads_what_is_stored(tmp_path: Path) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/tokens.db", KEYS)
    record = replace(store.read("k" * 64), token=Token("at", 1.0, 2.0))
    assert "dpop_key" not in record.secret_part
    assert "dpop_key" not in record.secret_part["token"]


@pytest.mark.parametrize("key", ["", "ES256\nthe key"])
def test_a_rescued_token_keeps_its_key(tmp_path: Path, key: str) -> None:
    files = RecoveryFiles(tmp_path, TokenCipher(KEYS))
    rescued = RescuedAnswer("a" * 64, 1, "", Token("at", 1.0, 2.0, dpop_key=key), "rt")
    files.save(rescued)
    assert [found for _, found in files.load("a" * 64)] == [rescued]
