"""Troubles that a provider makes."""

from __future__ import annotations

from oauth_taskflow.testing import OAuthTestServer


def kill_grants(server: OAuthTestServer) -> None:
    """The provider ends every consent."""
    for family in server.state._families.values():
        server.state.revoke_family(family)
    server.revoke_access_tokens()
