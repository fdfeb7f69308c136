"""Client certificates (RFC 8705): tokens that are bound to one, and where it is shown."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.keys import certificate_of, new_key, pem_of
from tests.oauth.metadata import forget_metadata
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


def test_a_renewed_certificate_gets_a_separate_token(
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
    (tmp_path / "client.pem").touch()  # over plain http it is not used
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
    grant = load_managed_grant("crm")
    assert grant.endpoint_url("revoke_url") == "https://mtls.example.com/revoke"
    assert grant.endpoint_url("authorize_url") == f"{origin}/oauth/authorize"
    forget_metadata()


def encrypt() -> str:
    passphrase = BestAvailableEncryption(b"open")
    key = new_key()
    locked: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, passphrase)
    return locked.decode() + certificate_of(key, "client").decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encrypt, "its key is encrypted"),
        (lambda: "nothing", "no PEM certificate with its key"),
        (
            lambda: pem_of(new_key()) + certificate_of(new_key(), "x").decode(),
            "the key belongs to another one",
        ),
        (None, "FileNotFoundError"),
    ],
)
@pytest.mark.parametrize("auth_type", ["oauth2", "bearer"])
def test_a_certificate_that_cannot_be_used_is_a_wrong_field_and_asks_no_terminal(
    content: Callable[[], str] | None,
    reason: str,
    auth_type: str,
    tmp_path: Path,
    set_connection: SetConnection,
) -> None:
    shown = tmp_path / "client.pem"
    if content is not None:
        shown.write_text(content())
    extra = {"auth_type": auth_type, "cert": str(shown)}
    if auth_type == "oauth2":
        extra |= {"token_url": "https://id.example.test/token"}
    fields = {"host": "https://api.example.test", "login": "me", "password": "client-s3cret"}
    set_connection("crm", {"conn_type": "oauth2", **fields, "extra": extra})
    with pytest.raises(ConnectionConfigError) as caught:
        open_session("crm")
    assert str(caught.value) == (
        f"The client certificate cannot be used ({reason}) in connection 'crm', field 'cert'. It is a PEM file with the "
        "certificate and its unencrypted key, or one file for each, on every worker."
    )
