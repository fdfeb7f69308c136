"""Endpoints that a login takes from its issuer's metadata, and what it makes of ``iss``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_taskflow.errors import AuthorizationFailed, ConnectionConfigError
from oauth_taskflow.oauth.discovery import forget_metadata
from oauth_taskflow.taskflow.consent_places import ManagedGrant, managed_grant
from oauth_taskflow.taskflow.login_flow import LoginOptions, log_in_by_browser
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.login_runs import Connect, browser, connect, own_store

__all__ = ["browser", "connect", "own_store"]  # fixtures

_OPTIONS = LoginOptions(timeout=20.0)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    forget_metadata()
    yield
    forget_metadata()


def known_by_issuer(conn_id: str, server: OAuthTestServer, authorize_url: str = "") -> ManagedGrant:
    grant = managed_grant(conn_id)
    consent = replace(grant.consent, issuer=server.base_url, authorize_url=authorize_url)
    return replace(grant, auth=replace(grant.auth, consent=consent))


def test_published_endpoints_are_used_and_the_request_is_pushed(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str]
) -> None:
    grant = known_by_issuer(connect(), oauth_server)
    assert log_in_by_browser(grant, _OPTIONS, browser.append).refresh_token
    opened = next(url for url in browser if url.startswith("http"))
    assert sorted(parse_qs(urlsplit(opened).query)) == ["client_id", "request_uri"]
    assert grant.place("revoke_url") == f"{oauth_server.base_url}/oauth/revoke"


@pytest.mark.parametrize(
    "case",
    [("https://evil.example", "another authorization server"), ("", "does not name its issuer")],
)
def test_an_answer_of_another_issuer_is_refused_before_its_code_is_sent(
    connect: Connect, oauth_server: OAuthTestServer, browser: list[str], case: tuple[str, str]
) -> None:
    grant = known_by_issuer(connect(), oauth_server)
    assert grant.server.names_itself
    oauth_server.desk.issuer, reason = case
    with pytest.raises(AuthorizationFailed, match=reason):
        log_in_by_browser(grant, _OPTIONS, browser.append)
    assert not [call for call in oauth_server.requests if call.path == "/oauth/token"]


def test_without_metadata_the_issuer_serves_for_the_comparison_only(
    connect: Connect, oauth_server: OAuthTestServer
) -> None:
    oauth_server.fault("/.well-known/*", status=404, times=99)
    place = f"{oauth_server.base_url}/oauth/authorize"
    grant = known_by_issuer(connect(), oauth_server, place)
    assert (grant.server.authorize_url, grant.server.issuer) == (place, oauth_server.base_url)
    assert not grant.server.names_itself
    assert grant.optional_place("par_url") == ""
    forget_metadata()
    with pytest.raises(ConnectionConfigError, match="issuer"):
        _ = known_by_issuer("crm", oauth_server).server
