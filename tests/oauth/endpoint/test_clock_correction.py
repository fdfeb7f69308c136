"""Signed requests on a machine whose clock is wrong, against a server that looks at the time."""

from __future__ import annotations

import json
import socket
import time
from email.utils import formatdate
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from oauth_taskflow.errors import InvalidClient, InvalidGrant, TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint import exchange
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.revocation import revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.extension_grants import JwtBearer
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, GrantOptions, RefreshToken
from oauth_taskflow.oauth.signing import Signer, shared_key
from tests.oauth.raw_server import (
    Behaviour,
    answering,
    http_answer,
    raw_server,
    read_request,
)
from tests.support.clock import FakeClock

SECRET = "k" * 32


def strict(name: str, error: str, seen: list[dict[str, list[str]]], *, ahead: float) -> Behaviour:
    """A token endpoint whose clock is ``ahead`` of this machine's, and which refuses expired assertions.

    Without ``error`` it gives no reason.
    """

    def behaviour(connection: socket.socket) -> None:
        form = parse_qs(read_request(connection).partition(b"\r\n\r\n")[2].decode())
        seen.append(form)
        expires = 0.0
        if name in form:
            expires = jwt.decode(form[name][0], OctKey.import_key(SECRET)).claims["exp"]
        now = time.time() + ahead
        good = expires > now
        refusal = b'{"error":"%s"}' % error.encode() if error else b""
        body = b'{"access_token":"at"}' if good else refusal
        status = "200 OK" if good else "400 Bad Request" if error else "403 Forbidden"
        head = f"HTTP/1.1 {status}\r\nDate: {formatdate(now, usegmt=True)}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return behaviour


def endpoint(place: str, **fields: object) -> TokenEndpoint:
    signer = Signer(shared_key(SECRET), "aud")
    client = Client("me", SECRET, signer)
    return TokenEndpoint(f"http://{place}/token", client, conn_id="crm", **fields)  # type: ignore[arg-type]


def test_an_assertion_refused_for_its_time_is_signed_once_more_on_the_servers_clock() -> None:
    seen: list[dict[str, list[str]]] = []
    grant = JwtBearer(Signer(shared_key(SECRET), "aud"), "me", "alice")
    with raw_server(strict("assertion", "invalid_grant", seen, ahead=600)) as place:
        outcome = endpoint(place, client_auth="none").exchange(grant)
    assert isinstance(outcome, Granted)
    assert len(seen) == 2
    assert seen[0]["assertion"] != seen[1]["assertion"]


@pytest.mark.parametrize("grant", [ClientCredentials(), RefreshToken("rt")])
@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_a_refused_client_assertion_is_signed_again_on_the_servers_clock(
    grant: Grant, code: str
) -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("client_assertion", code, seen, ahead=600)) as place:
        outcome = endpoint(place, client_auth="client_secret_jwt").exchange(grant)
    assert isinstance(outcome, Granted)
    assert len(seen) == 2


@pytest.mark.parametrize(("grant", "requests"), [(ClientCredentials(), 2), (RefreshToken("rt"), 1)])
def test_after_a_refusal_without_a_reason_only_what_cannot_be_spent_is_signed_again(
    grant: Grant, requests: int
) -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("client_assertion", "", seen, ahead=600)) as place:
        outcome = endpoint(place, client_auth="private_key_jwt").exchange(grant)
    assert len(seen) == requests
    assert isinstance(outcome, Granted if requests == 2 else Rejected)


def test_assertions_are_signed_again_for_other_endpoints_too() -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("client_assertion", "invalid_client", seen, ahead=600)) as place:
        under_test = endpoint(place, client_auth="client_secret_jwt")
        revoke(under_test, f"http://{place}/revoke", "rt", "refresh_token", GrantOptions())
    assert [one["token"] for one in seen] == [["rt"], ["rt"]]


def test_a_right_clock_signs_once_and_the_error_blames_no_consent() -> None:
    seen: list[dict[str, list[str]]] = []
    grant = JwtBearer(Signer(shared_key(SECRET), "aud"), "me", "alice")
    with raw_server(strict("none", "invalid_grant", seen, ahead=0)) as place:
        outcome = endpoint(place, client_auth="none").exchange(grant)
    assert len(seen) == 1
    assert isinstance(outcome, Rejected)
    assert not isinstance(outcome.error, InvalidGrant)
    assert str(outcome.error) == (
        f"Token request refused (invalid_grant, HTTP 400) for connection 'crm' at {place}/token. Check subject, "
        "audience and key of the connection, and that the server knows them; this machine's clock was checked against "
        "the server's."
    )


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
@pytest.mark.parametrize(
    ("date", "words"),
    [
        (True, "this machine's clock was checked against the server's."),
        (False, "check this machine's clock too, because the server does not show its own"),
    ],
)
def test_a_refused_client_assertion_names_the_key_and_the_clock(
    code: str, date: bool, words: str
) -> None:
    body = json.dumps({"error": code}).encode()
    headers = [f"Date: {formatdate(usegmt=True)}"] if date else []
    with raw_server(answering(http_answer(401, body, *headers))) as place:
        outcome = endpoint(place, client_auth="client_secret_jwt").exchange(RefreshToken("rt"))
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, InvalidClient)
    assert "Check client id (login), private_key or client_assertion_file" in str(outcome.error)
    assert words in str(outcome.error)


def test_the_second_refusal_is_the_last() -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("none", "invalid_client", seen, ahead=600)) as place:
        outcome = endpoint(place, client_auth="client_secret_jwt").exchange(ClientCredentials())
    assert len(seen) == 2
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, InvalidClient)


def test_a_refused_refresh_token_is_not_sent_again_whatever_the_clock_says() -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("none", "invalid_grant", seen, ahead=600)) as place:
        outcome = endpoint(place, client_auth="client_secret_jwt").exchange(RefreshToken("rt"))
    assert len(seen) == 1
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, InvalidGrant)


def test_an_unsigned_request_is_not_sent_again() -> None:
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("none", "invalid_client", seen, ahead=600)) as place:
        outcome = endpoint(place).exchange(ClientCredentials())
    assert len(seen) == 1
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, TokenRequestRejected)


def test_without_time_left_the_first_answer_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LEAST_TIME_TO_SEND", 60.0)
    seen: list[dict[str, list[str]]] = []
    with raw_server(strict("none", "invalid_client", seen, ahead=600)) as place:
        under_test = endpoint(place, client_auth="client_secret_jwt", clock=FakeClock(time.time()))
        outcome = under_test.exchange(ClientCredentials())
    assert len(seen) == 1
    assert isinstance(outcome, Rejected)
