"""Servers that publish their metadata at one of the well-known addresses, and answer something else at the others."""

from __future__ import annotations

import json

import pytest

from oauth_taskflow.oauth.endpoint.discovery import server_metadata
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.metadata import forget_metadata

FIRST = "/.well-known/oauth-authorization-server"
SECOND = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<!doctype html><title>An app that answers everything</title>"),
        (200, '{"issuer": "https://other.example"}'),
        (200, " " * (1 << 19)),
        (302, ""),
        (403, ""),
    ],
)
def test_a_server_that_answers_every_path_hides_no_metadata(
    oauth_server: OAuthTestServer, status: int, body: str
) -> None:
    forget_metadata()
    issuer = oauth_server.base_url
    published = {"issuer": issuer, "token_endpoint": oauth_server.token_url}
    oauth_server.fault(FIRST, status=status, body=body, headers={"Location": "https://x.example"})
    oauth_server.fault(SECOND, status=200, body=json.dumps(published))
    assert server_metadata(issuer).endpoint("token_endpoint") == oauth_server.token_url
    forget_metadata()
