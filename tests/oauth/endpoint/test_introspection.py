"""Is this token alive (RFC 7662)."""

from __future__ import annotations

import pytest

from oauth_taskflow.errors import InvalidClient, InvalidTokenResponse
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.introspection import introspect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from tests.oauth.raw_server import answering, raw_server


def endpoint(place: str) -> TokenEndpoint:
    return TokenEndpoint(f"http://{place}/token", Client("me", "client-s3cret"), conn_id="crm")


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_an_active_token_has_claims_and_an_end() -> None:
    seen: list[bytes] = []
    body = b'{"active": true, "exp": 1800000000, "scope": "a"}'
    with raw_server(answering(http("200 OK", body), seen)) as place:
        found = introspect(endpoint(place), f"http://{place}/introspect", "at", "access_token")
    assert (found.active, found.expires_at, found.claims["scope"]) == (True, 1.8e9, "a")
    assert seen[0].startswith(b"POST /introspect ")
    assert b"Authorization: Basic" in seen[0]
    assert seen[0].endswith(b"token=at&token_type_hint=access_token")


def test_only_inactive_is_read_of_an_inactive_token() -> None:
    body = b'{"active": false, "exp": 1800000000}'
    with raw_server(answering(http("200 OK", body))) as place:
        found = introspect(endpoint(place), f"http://{place}/introspect", "at")
    assert (found.active, found.expires_at) == (False, None)


@pytest.mark.parametrize("body", [b"{}", b'{"active": "true"}', b"<html>"])
def test_an_answer_that_does_not_say_is_an_error(body: bytes) -> None:
    with raw_server(answering(http("200 OK", body))) as place:
        with pytest.raises(InvalidTokenResponse) as raised:
            introspect(endpoint(place), f"http://{place}/introspect", "at-s3cret")
        assert str(raised.value) == (
            "The answer does not say whether the token is active for connection 'crm' at "
            f"http://{place}/introspect. Check that this is the introspection endpoint (RFC 7662)."
        )


def test_a_refused_question_is_an_error_without_the_token() -> None:
    body = b'{"error": "invalid_client", "error_description": "for at-s3cret"}'
    answer = answering(http("401 Unauthorized", body))
    with raw_server(answer) as place, pytest.raises(InvalidClient) as raised:
        introspect(endpoint(place), f"http://{place}/introspect", "at-s3cret")
    assert "s3cret" not in str(raised.value)
