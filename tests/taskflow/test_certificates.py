"""Client certificates (RFC 8705): tokens that are bound to one, and where it is shown."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from pathlib import Path

import pytest

from oauth_taskflow.oauth.discovery import forget_metadata
from oauth_taskflow.taskflow.consent_places import managed_grant
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.keys import certificate_of, new_key, pem_of
from tests.oauth.raw_server import Behaviour, raw_server, read_request, self_signed
from tests.taskflow.conftest import SetConnection


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server that demands one of the certificates ``old.pem`` and ``new.pem``, known by ``server.pem``."""
    context, _ = self_signed(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    for name in ("old", "new"):
        key = new_key()
        certificate = certificate_of(key, name).decode()
        (tmp_path / f"{name}.pem").write_text(pem_of(key) + certificate)
        context.load_verify_locations(cadata=certificate)
    return context


def binding(seen: list[str]) -> Behaviour:
    """Token endpoint and API in one: a token is good on connections with the certificate it was issued to."""

    def behaviour(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        owner = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
        request = read_request(connection).decode()
        seen.append(request.split(" ")[1])
        good = f"Bearer {owner}" in request
        body: dict[str, object] = {"access_token": owner} if "/token" in seen[-1] else {"ok": good}
        status = "200 OK" if good or "/token" in seen[-1] else "401 Unauthorized"
        raw = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + raw)

    return behaviour


def test_a_renewed_certificate_gets_a_token_of_its_own(
    tls: ssl.SSLContext, tmp_path: Path, set_connection: SetConnection
) -> None:
    seen: list[str] = []
    shown = tmp_path / "client.pem"
    with raw_server(binding(seen), tls) as place:
        extra = {
            "token_url": f"https://{place}/token",
            "client_auth": "tls_client_auth",
            "cert": str(shown),
            "verify": str(tmp_path / "server.pem"),
        }
        set_connection(
            "crm",
            {"conn_type": "oauth2", "host": f"https://{place}", "login": "me", "extra": extra},
        )
        for name in ("old", "new"):
            shown.write_text((tmp_path / f"{name}.pem").read_text())
            with open_session("crm") as session:
                assert session.get("/data").json() == {"ok": True}
    assert seen == ["/token", "/data", "/data", "/token", "/data"]


def test_a_client_with_a_certificate_ends_its_tokens_at_the_alias_too(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    (tmp_path / "client.pem").touch()  # over plain http nobody reads it
    origin = oauth_server.base_url
    published = {
        "issuer": origin,
        "token_endpoint": f"{origin}/oauth/token",
        "authorization_endpoint": f"{origin}/oauth/authorize",
        "revocation_endpoint": f"{origin}/oauth/revoke",
        "mtls_endpoint_aliases": {
            "authorization_endpoint": "https://mtls.example.com/authorize",
            "revocation_endpoint": "https://mtls.example.com/revoke",
        },
    }
    oauth_server.fault("/.well-known/*", status=200, body=json.dumps(published))
    forget_metadata()
    cert = str(tmp_path / "client.pem")
    extra = {"issuer": origin, "client_auth": "tls_client_auth", "cert": cert}
    set_connection("crm", oauth_server.connection(password=None, token_url=None, **extra))
    grant = managed_grant("crm")
    assert grant.place("revoke_url") == "https://mtls.example.com/revoke"
    assert grant.place("authorize_url") == f"{origin}/oauth/authorize"
    forget_metadata()
