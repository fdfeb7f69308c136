"""A connection may say what the error codes of its token endpoint mean, and refusals without one."""

from __future__ import annotations

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import InvalidClient, InvalidGrant, TokenRequestRejected
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Rejected
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from tests.connections.samples import connection

MEANINGS = {"http_403": "invalid_grant", "E7": "invalid_client"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"", InvalidGrant),
        (400, b'{"error": "E7"}', InvalidClient),
        (400, b"", TokenRequestRejected),
    ],
)
def test_a_connection_says_what_the_servers_codes_mean(
    status: int, body: bytes, kind: type[TokenRequestRejected]
) -> None:
    settings = parse_connection(connection({"refresh_token": "rt", "token_errors": MEANINGS}))
    assert isinstance(settings.auth, OAuth2Settings)
    question = token_endpoint(settings, settings.auth).describe_request(grant(settings.auth))
    found = interpret(TokenHttpResponse(status, {}, body, 0.0, 0.0), question)
    assert isinstance(found, Rejected)
    assert type(found.error) is kind
