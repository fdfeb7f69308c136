"""A server that publishes its metadata, and for a while answers something else in their place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oauth_taskflow.errors import ConnectionConfigError, TokenEndpointUnavailable
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.discovered_endpoint import DiscoveredEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantState
from tests.oauth.metadata import forget_metadata
from tests.tokens.clocked_store import ClockedStore

WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    forget_metadata()
    yield
    forget_metadata()


def new_worker(store: ClockedStore, server: OAuthTestServer, seed: str) -> TokenManager:
    """A process that has read no metadata so far."""
    forget_metadata()
    client = Client(server.client_id, server.client_secret)
    endpoint = DiscoveredEndpoint(server.base_url, client, conn_id="crm", clock=store._clock)
    return TokenManager.for_grant(store, endpoint, RefreshToken(seed), clock=store._clock)


def replace_metadata(server: OAuthTestServer, status: int, body: str) -> None:
    """Answer the next question for metadata with something else."""
    for path in WELL_KNOWN:
        server.fault(path, status=status, body=body)


@pytest.mark.parametrize(("status", "body"), [(404, ""), (200, "<html>soon back</html>")])
def test_missing_metadata_may_pass_where_a_token_came_from_before(
    oauth_server: OAuthTestServer, store: ClockedStore, status: int, body: str
) -> None:
    seed = oauth_server.issue_refresh_token()
    new_worker(store, oauth_server, seed).token()
    store._clock.sleep(7200)
    replace_metadata(oauth_server, status, body)
    worker = new_worker(store, oauth_server, seed)
    for _ in range(2):  # asked; from the store
        with pytest.raises(TokenEndpointUnavailable, match="It gave tokens before") as raised:
            worker.token()
    assert str(raised.value).endswith("the proxies before it, and check issuer.")
    assert worker.stored.read().state is GrantState.ACTIVE
    store._clock.sleep(3)
    worker.token()


def test_missing_metadata_are_a_wrong_issuer_before_the_first_token(
    oauth_server: OAuthTestServer, store: ClockedStore
) -> None:
    replace_metadata(oauth_server, 404, "")
    worker = new_worker(store, oauth_server, oauth_server.issue_refresh_token())
    with pytest.raises(ConnectionConfigError, match=r"publishes no metadata \(RFC 8414\)"):
        worker.token()
    assert worker.stored.read().state is GrantState.MISCONFIGURED
