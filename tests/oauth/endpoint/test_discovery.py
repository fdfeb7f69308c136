"""Metadata of authorization servers: where they are looked for, what is believed, and what is done with them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError, TokenEndpointUnavailable
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.discovered_endpoint import DiscoveredEndpoint
from oauth_taskflow.oauth.endpoint.discovery import server_metadata
from oauth_taskflow.oauth.endpoint.outcomes import Granted, NotProcessed, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import Timeouts, TransportOptions
from oauth_taskflow.oauth.extension_grants import JwtBearer
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.oauth.signing import Signer, private_key
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.keys import certificate_of, new_key, pem_of
from tests.oauth.metadata import ISSUER, document, forget_metadata
from tests.oauth.raw_server import Behaviour, raw_server, read_request, self_signed, silent
from tests.support.clock import FakeClock


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a client certificate with its key."""
    path = tmp_path_factory.mktemp("certificate") / "client.pem"
    key = new_key()
    path.write_text(pem_of(key) + certificate_of(key).decode())
    return str(path)


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    forget_metadata()
    yield
    forget_metadata()


def answering_by_path(answers: dict[str, tuple[str, bytes]], seen: list[str]) -> Behaviour:
    """A server that knows some paths."""

    def behaviour(connection: socket.socket) -> None:
        path = read_request(connection).split(b" ")[1].decode()
        seen.append(path)
        status, body = answers.get(path, ("404 Not Found", b"no"))
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        connection.sendall(head.encode() + b"Location: https://other.example\r\n\r\n" + body)

    return behaviour


def test_an_issuer_with_a_path_is_found_by_the_second_rule() -> None:
    seen: list[str] = []
    answers: dict[str, tuple[str, bytes]] = {}
    with raw_server(answering_by_path(answers, seen)) as place:
        issuer = f"http://{place}/t/1"
        answers["/t/1/.well-known/openid-configuration"] = ("200 OK", document(issuer))
        metadata = server_metadata(issuer)
    assert metadata.endpoint("token_endpoint") == f"{issuer}/token"
    assert seen == [
        "/.well-known/oauth-authorization-server/t/1",
        "/t/1/.well-known/openid-configuration",
    ]


def test_metadata_are_kept_for_an_hour_and_longer_while_the_server_is_away() -> None:
    seen: list[str] = []
    clock = FakeClock()
    path = "/.well-known/oauth-authorization-server"
    answers: dict[str, tuple[str, bytes]] = {}
    with raw_server(answering_by_path(answers, seen)) as place:
        issuer = f"http://{place}"
        answers[path] = ("200 OK", document(issuer))
        for _ in range(3):
            server_metadata(issuer, clock=clock)
        assert len(seen) == 1
        server_metadata(issuer, clock=clock, transport=TransportOptions(proxies={"ftp": "x"}))
        assert len(seen) == 2
        clock.advance(3601)
        server_metadata(issuer, clock=clock)
        assert len(seen) == 3
        clock.advance(3601)
        for away in (("503 Away", b""), ("404 Not Found", b""), ("200 OK", b"<html>soon back")):
            answers[path] = away
            assert server_metadata(issuer, clock=clock).issuer == issuer
        answers[path] = ("200 OK", document(issuer, token_endpoint=f"{issuer}/new"))
        assert server_metadata(issuer, clock=clock).endpoint("token_endpoint") == f"{issuer}/new"


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (
            "404 Not Found",
            b"",
            ConnectionConfigError,
            "{0} publishes no metadata (RFC 8414) in connection 'crm', field 'issuer'. Check the issuer, or write "
            "token_url instead.",
        ),
        (
            "302 Found",
            b"",
            ConnectionConfigError,
            "The metadata at {0}/.well-known/oauth-authorization-server redirect (HTTP 302) in connection 'crm', field "
            "'issuer'. They must be at the issuer itself: set issuer to the final address.",
        ),
        (
            "200 OK",
            b"<html>",
            ConnectionConfigError,
            "The metadata at {0}/.well-known/oauth-authorization-server cannot be used: the document is not a JSON object "
            "in connection 'crm', field 'issuer'. The issuer must be written exactly as the server does, final slash "
            "included.",
        ),
        (
            "200 OK",
            b"x" * (1 << 19),
            ConnectionConfigError,
            "The metadata at {0}/.well-known/oauth-authorization-server cannot be used: the document is too large for "
            "metadata in connection 'crm', field 'issuer'. The issuer must be written exactly as the server does, final "
            "slash included.",
        ),
        (
            "503 Away",
            b"",
            TokenEndpointUnavailable,
            "The authorization server's metadata could not be read (HTTP 503) for connection 'crm' at "
            "{0}/.well-known/oauth-authorization-server. Tasks try again by themselves, a login is started again; with "
            "token_url (and authorize_url for a login) in the connection the metadata are not needed.",
        ),
    ],
)
def test_unusable_metadata_are_named(
    status: str, body: bytes, error: type[Exception], text: str
) -> None:
    answers = dict.fromkeys(
        (
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ),
        (status, body),
    )
    with raw_server(answering_by_path(answers, [])) as place:
        with pytest.raises(error) as raised:
            server_metadata(f"http://{place}", conn_id="crm")
        assert str(raised.value) == text.format(f"http://{place}")


@pytest.mark.parametrize(
    "issuer",
    [
        "http://id.example.com",
        "https://id.example.com?x=1",
        "https://u@id.example.com",
        "https://[",
        "x",
    ],
)
def test_an_issuer_is_an_https_url(issuer: str) -> None:
    with pytest.raises(ConnectionConfigError, match="The issuer is not an https URL"):
        server_metadata(issuer, conn_id="crm")


def test_missing_files_and_untrusted_certificates_are_configuration_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConnectionConfigError, match="Check the files that verify and cert name"):
        server_metadata(ISSUER, transport=TransportOptions(cert="/missing.pem"))
    tls, _ = self_signed(tmp_path)
    refusal = pytest.raises(ConnectionConfigError, match="Set verify to the file of the CA")
    with raw_server(answering_by_path({}, []), tls) as place, refusal:
        server_metadata(f"https://{place}")


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    hasty = TransportOptions(timeouts=Timeouts(read=0.2))
    with raw_server(silent) as place:
        began = time.monotonic()
        with pytest.raises(TokenEndpointUnavailable, match="could not be read"):
            server_metadata(f"http://{place}", transport=hasty)
        assert time.monotonic() - began < 5


def test_a_server_that_cannot_be_reached_is_tried_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        issuer = f"http://127.0.0.1:{taken.getsockname()[1]}"
    outcome = DiscoveredEndpoint(issuer, Client("me", "s")).exchange(ClientCredentials())
    assert isinstance(outcome, NotProcessed)


def test_a_grant_is_traded_at_the_endpoint_that_the_server_names() -> None:
    with OAuthTestServer(client_auth=("client_secret_post",)) as server:
        client = Client(server.client_id, server.client_secret)
        endpoint = DiscoveredEndpoint(server.base_url, client, conn_id="crm", choose_auth=True)
        assert isinstance(endpoint.exchange(ClientCredentials()), Granted)
        assert isinstance(endpoint.exchange(ClientCredentials()), Granted)
        assert [request.path for request in server.requests] == [
            "/.well-known/oauth-authorization-server",
            "/oauth/token",
            "/oauth/token",
        ]
        assert "client_secret" in server.requests[1].form


def resolve(
    client: Client, *, choose: bool = True, cert: str | None = None, **published: Any
) -> Any:
    """The endpoint found at a server that publishes that."""
    answers: dict[str, tuple[str, bytes]] = {}
    with raw_server(answering_by_path(answers, [])) as place:
        issuer = f"http://{place}"
        raw = document(issuer, **published)
        answers["/.well-known/oauth-authorization-server"] = ("200 OK", raw)
        transport = TransportOptions(cert=cert)
        return DiscoveredEndpoint(
            issuer, client, conn_id="crm", choose_auth=choose, transport=transport
        ).resolve()


SECRET = Client("me", "s" * 32)
KEYED = Client("me", "", Signer(private_key(pem_of(new_key()))))


@pytest.mark.parametrize(
    ("client", "cert", "supported", "method"),
    [
        (SECRET, False, None, "client_secret_basic"),
        (
            SECRET,
            None,
            ["none", "client_secret_post", "client_secret_basic"],
            "client_secret_basic",
        ),
        (SECRET, False, ["client_secret_post"], "client_secret_post"),
        (SECRET, False, ["client_secret_jwt"], "client_secret_jwt"),
        (SECRET, False, ["private_key_jwt"], "client_secret_basic"),
        (KEYED, False, ["client_secret_post", "private_key_jwt"], "private_key_jwt"),
        (Client("me"), True, ["self_signed_tls_client_auth"], "self_signed_tls_client_auth"),
        (
            Client("me"),
            "/c.pem",
            ["self_signed_tls_client_auth", "tls_client_auth"],
            "tls_client_auth",
        ),
        (Client("me"), False, ["none"], "none"),
    ],
)
def test_client_authentication_is_the_first_that_both_sides_can(
    client: Client, cert: bool, supported: list[str] | None, method: str, certificate: str
) -> None:
    published: dict[str, Any] = (
        {"token_endpoint_auth_methods_supported": supported} if supported else {}
    )
    assert resolve(client, cert=certificate if cert else None, **published).client_auth == method


def test_a_method_that_the_connection_names_is_kept() -> None:
    found = resolve(SECRET, choose=False, token_endpoint_auth_methods_supported=["none"])
    assert found.client_auth == "client_secret_basic"


def test_a_short_secret_cannot_be_chosen_for_signing() -> None:
    with pytest.raises(ConnectionConfigError, match="too short for HS256"):
        resolve(Client("me", "short"), token_endpoint_auth_methods_supported=["client_secret_jwt"])


def test_assertions_are_addressed_to_the_endpoint_found() -> None:
    found = resolve(KEYED)
    assert found.client.signer.audience == found.url


def test_a_jwt_bearer_assertion_is_addressed_to_the_endpoint_found() -> None:
    with OAuthTestServer() as server:
        endpoint = DiscoveredEndpoint(server.base_url, SECRET, conn_id="crm")
        assert KEYED.signer
        outcome = endpoint.exchange(JwtBearer(KEYED.signer, "me", "me"))
        assert isinstance(outcome, Rejected)  # this server knows no such client
        assert server.requests[1].form["assertion"]


def test_a_client_with_a_certificate_takes_the_alias(certificate: str) -> None:
    alias = {"token_endpoint": "https://mtls.example.com/token"}
    assert (
        resolve(Client("me"), cert=certificate, mtls_endpoint_aliases=alias).url
        == alias["token_endpoint"]
    )
    assert resolve(SECRET, mtls_endpoint_aliases=alias).url != alias["token_endpoint"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "The server's metadata name no token endpoint"),
        (
            "http://10.0.0.7/token",
            "The metadata of {0} cannot be used: the document names an address for token_endpoint that no secret may be "
            "sent to",
        ),
    ],
)
def test_metadata_without_a_usable_token_endpoint_are_a_wrong_set_up(
    url: str, problem: str
) -> None:
    answers: dict[str, tuple[str, bytes]] = {}
    with raw_server(answering_by_path(answers, [])) as place:
        raw = document(f"http://{place}", token_endpoint=url)
        answers["/.well-known/oauth-authorization-server"] = ("200 OK", raw)
        endpoint = DiscoveredEndpoint(f"http://{place}", SECRET, conn_id="crm")
        outcome = endpoint.ask(ClientCredentials())
    assert isinstance(outcome, Rejected)
    assert str(outcome.error) == (
        problem.format(f"http://{place}")
        + " in connection 'crm', field 'issuer'. Write token_url instead."
    )
