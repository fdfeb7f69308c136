"""Rules for every request to an authorization server, with each grant and each client authentication."""

from __future__ import annotations

import base64
import json
import socket
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qs, parse_qsl

import pytest

from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.credential_source import InlineCredential
from oauth_taskflow.oauth.endpoint.introspection import introspect
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.retries import exchange_with_retries
from oauth_taskflow.oauth.endpoint.revocation import revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.extension_grants import (
    SAML2_BEARER,
    GivenAssertion,
    JwtBearer,
    NamedGrant,
    Password,
    PresentedToken,
    TokenExchange,
)
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, GrantOptions, RefreshToken
from oauth_taskflow.oauth.login.authorization import (
    Authorization,
    AuthorizationCode,
    AuthorizationServer,
    Verifier,
    push,
)
from oauth_taskflow.oauth.login.device import DeviceCode, authorize_device
from oauth_taskflow.oauth.signing import Signer, shared_key
from tests.oauth.raw_server import answering, raw_server, read_request
from tests.support.clock import FakeClock

SECRET = "s3cret/+ü " * 4
SIGNER = Signer(shared_key(SECRET), "https://id.example.com/token")
CLIENT = Client("me", SECRET, SIGNER, assertion=InlineCredential("a.b.c"))
OPTIONS = GrantOptions(
    scope="a ü",
    audience="one two",
    resource=("https://a.example", "https://b.example"),
    params={"tenant": "t", "scope": "b"},
)
SHOWN = PresentedToken(InlineCredential("subject"))
GRANTS: list[Grant] = [
    ClientCredentials(OPTIONS),
    RefreshToken("rt", OPTIONS),
    AuthorizationCode("code", "http://127.0.0.1/cb", Verifier("v" * 43), OPTIONS),
    DeviceCode("dc", OPTIONS),
    JwtBearer(SIGNER, "me", "alice", {}, OPTIONS),
    GivenAssertion(SAML2_BEARER, InlineCredential("<a/>"), OPTIONS),
    TokenExchange(SHOWN, SHOWN, "x", OPTIONS),
    Password("alice", "pw", OPTIONS),
    NamedGrant("vendor", OPTIONS),
]
MAY_REPEAT = {"resource", "audience"}  # RFC 8707 §2, RFC 8693 §2.1


def record_request(method: str, grant: Grant) -> tuple[str, str]:
    """Head and body of the request as a server reads them."""
    seen: list[bytes] = []
    body = b'{"access_token":"at"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    with raw_server(answering(answer % (len(body), body), seen)) as place:
        endpoint = TokenEndpoint(f"http://{place}/token", CLIENT, client_auth=method)
        assert isinstance(endpoint.exchange(grant), Granted)
    head, _, sent = seen[0].decode("ascii").partition("\r\n\r\n")
    return head, sent


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: type(grant).__name__)
def test_no_parameter_is_repeated_or_empty_and_text_is_utf_8(grant: Grant) -> None:
    _, body = record_request("client_secret_post", grant)
    pairs = parse_qsl(body, keep_blank_values=True, errors="strict", strict_parsing=True)
    repeated = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
    assert repeated <= MAY_REPEAT
    assert [name for name, value in pairs if not value] == []
    assert dict(pairs)["client_secret"] == SECRET


@pytest.mark.parametrize("method", sorted(CLIENT_AUTH_METHODS))
def test_the_client_is_authenticated_in_one_way_at_a_time(method: str) -> None:
    head, body = record_request(method, ClientCredentials())
    form = parse_qs(body)
    ways = [
        "Authorization:" in head,
        "client_secret" in form,
        "client_assertion" in form,
    ]
    bare = method.endswith("tls_client_auth") or method in {"none", "unauthenticated"}
    assert sum(ways) == (0 if bare else 1)
    named = "client_id" in form or "Authorization:" in head
    assert named == (method != "unauthenticated")
    shown = (SECRET in form.get("client_secret", [])) + (b"s3cret" in basic(head))
    assert shown == (1 if method.startswith("client_secret") and "jwt" not in method else 0)


def basic(head: str) -> bytes:
    """The decoded Basic header, empty without one."""
    lines = [line for line in head.split("\r\n") if line.startswith("Authorization: Basic ")]
    return base64.b64decode(lines[0].rpartition(" ")[2]) if lines else b""


Ask = Callable[[TokenEndpoint, str], object]
ATTEMPT = Authorization(AuthorizationServer("https://id.example.com"), "me", "http://127.0.0.1/cb")
BESIDE: dict[str, Ask] = {
    "revocation": lambda here, url: revoke(here, url, "the-token", "refresh_token", OPTIONS),
    "introspection": lambda here, url: introspect(here, url, "the-token"),
    "pushed request": lambda here, url: push(here, url, ATTEMPT),
    "device": lambda here, url: authorize_device(here, url, OPTIONS),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize(
    "status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_no_endpoint_sends_the_client_secret_after_a_redirect(name: str, status: str) -> None:
    asked: list[bytes] = []
    elsewhere: list[bytes] = []
    with raw_server(answering(b"HTTP/1.1 200 OK\r\n\r\n{}", elsewhere)) as evil:
        head = f"HTTP/1.1 {status}\r\nLocation: http://{evil}/x\r\nContent-Length: 0\r\n\r\n"
        with raw_server(answering(head.encode(), asked)) as place:
            here = TokenEndpoint(f"http://{place}/token", CLIENT, client_auth="client_secret_post")
            with pytest.raises(ConnectionConfigError, match="redirects"):
                BESIDE[name](here, f"http://{place}/here")
    assert (len(asked), elsewhere) == (1, [])


@pytest.mark.parametrize("name", BESIDE)
def test_every_endpoint_is_asked_by_post_as_the_client(name: str) -> None:
    asked: list[bytes] = []
    refusal = b'{"error":"invalid_client"}'
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(refusal), refusal)
    with raw_server(answering(answer, asked)) as place:
        here = TokenEndpoint(f"http://{place}/token", CLIENT)
        with pytest.raises(OAuthTaskflowError, match="invalid_client"):
            BESIDE[name](here, f"http://{place}/here")
    head = asked[0].partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("POST /here ")
    assert "Content-Type: application/x-www-form-urlencoded" in head
    assert basic(head)


@pytest.mark.parametrize(
    ("method", "grant", "name"),
    [
        ("private_key_jwt", ClientCredentials(), "client_assertion"),
        ("none", JwtBearer(SIGNER, "me", "alice"), "assertion"),
    ],
)
def test_a_request_that_is_tried_again_is_signed_again(
    method: str, grant: Grant, name: str
) -> None:
    forms: list[dict[str, list[str]]] = []

    def busy_once(connection: socket.socket) -> None:
        forms.append(parse_qs(read_request(connection).partition(b"\r\n\r\n")[2].decode()))
        body = json.dumps({"access_token": "at"}).encode()
        status = "503 Busy\r\nRetry-After: 1" if len(forms) == 1 else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    with raw_server(busy_once) as place:
        here = TokenEndpoint(f"http://{place}/token", CLIENT, client_auth=method)
        outcome = exchange_with_retries(
            lambda budget: here.exchange(grant, budget=budget),
            single_use=False,
            clock=FakeClock(),
            budget=35,
        )
    assert isinstance(outcome, Granted)
    first, second = (claims(form[name][0]) for form in forms)
    assert first["jti"] != second["jti"]


def claims(assertion: str) -> dict[str, object]:
    middle = assertion.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))))
