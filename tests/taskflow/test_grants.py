"""Every grant and client authentication of a connection, from ``extra`` to the API, against a server that checks them."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidClient,
    InvalidTokenResponse,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client_auth import JWT_ASSERTION
from oauth_taskflow.oauth.signing import Signer, private_key
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import open_session, token_source
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from oauth_taskflow.testing.server_state import Client
from tests.oauth.keys import PrivateKey, certificate_of, pem_of, public_pem_of, rsa_key
from tests.oauth.metadata import forget_metadata
from tests.oauth.raw_server import self_signed
from tests.taskflow.conftest import SetConnection

SCOPES = ("airports.read",)
KEYS: dict[str, PrivateKey] = {
    "RS256": rsa_key(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KEYS["PS256"] = KEYS["RS256"]
KEY = KEYS["ES256"]


def register(server: OAuthTestServer, *methods: str, **about: Any) -> None:
    """Make the server's client one of these methods."""
    secret = "s" * 40 if "client_secret_jwt" in methods else ""
    client = Client(server.client_id, secret, frozenset(methods), SCOPES, **about)
    server.state.clients[server.client_id] = client


def ask(set_connection: SetConnection, server: OAuthTestServer, **overrides: Any) -> dict[str, str]:
    """Call the API by a connection with ``overrides``; the form of the last token request."""
    set_connection("crm", server.connection(**overrides))
    with open_session("crm") as session:
        assert session.get("/page/airports").status_code == 200
    forms = [call.form for call in server.requests if call.path == "/oauth/token"]
    return dict(forms[-1])


def subjects(server: OAuthTestServer) -> set[str]:
    return {token.subject for token in server.state._access.values()}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", KEYS)
def test_private_key_jwt_is_implied_by_a_key(
    algorithm: str, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    key = KEYS[algorithm]
    register(oauth_server, "private_key_jwt", public_key=public_pem_of(key).decode())
    form = ask(
        set_connection, oauth_server, password=None, private_key=pem_of(key), algorithm=algorithm
    )
    assert form["client_assertion"]
    assert "client_secret" not in form


@pytest.mark.parametrize("audience", ["token_url", "issuer"])
def test_a_key_may_be_an_encrypted_file_and_its_audience_the_issuer(
    audience: str, oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    register(oauth_server, "private_key_jwt", public_key=public_pem_of(KEY).decode())
    path = tmp_path / "key.pem"
    path.write_text(pem_of(KEY, b"open"))
    extra = {
        "private_key_file": str(path),
        "private_key_passphrase": "open",
        "key_id": "k1",
        "assertion_audience": audience,
        "issuer": oauth_server.base_url,
    }
    assert ask(set_connection, oauth_server, password=None, **extra)["client_assertion"]


def test_an_assertion_for_another_audience_is_refused_by_the_server(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "private_key_jwt", public_key=public_pem_of(KEY).decode())
    with pytest.raises(InvalidClient):
        ask(
            set_connection,
            oauth_server,
            password=None,
            private_key=pem_of(KEY),
            assertion_audience="https://other.example.com",
        )


def federated_extra(server: OAuthTestServer, path: Path) -> dict[str, Any]:
    """The extra of a connection whose client proves itself by a JWT that its platform puts into ``path``."""
    register(server, "private_key_jwt", public_key=public_pem_of(KEY).decode())
    path.write_text(
        Signer(private_key(pem_of(KEY)), server.token_url).assertion(
            "test-client", "test-client", {}
        )
    )
    return {"password": None, "client_assertion_file": str(path)}


def test_a_client_assertion_is_read_from_its_file_for_every_request(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    sent = []
    for _ in range(2):  # the server takes each only once
        extra = federated_extra(oauth_server, tmp_path / "token")
        sent.append(ask(set_connection, oauth_server, **extra))
        oauth_server.revoke_access_tokens()
    assert {form["client_assertion_type"] for form in sent} == {JWT_ASSERTION}
    assert {form["client_id"] for form in sent} == {"test-client"}
    assert sent[1]["client_assertion"] == (tmp_path / "token").read_text()
    assert sent[0]["client_assertion"] != sent[1]["client_assertion"]
    assert sent[1]["client_assertion"] in list_secrets()


def test_an_issuer_leaves_a_client_assertion_its_method(
    oauth_server_factory: ServerFactory, set_connection: SetConnection, tmp_path: Path
) -> None:
    forget_metadata()
    server = oauth_server_factory(client_auth=("none",))
    extra = federated_extra(server, tmp_path / "token")
    form = ask(
        set_connection, server, token_url=None, issuer=server.base_url, client_auth=None, **extra
    )
    assert form["client_assertion"]


def test_a_client_assertion_that_is_missing_names_its_field(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    extra = federated_extra(oauth_server, tmp_path / "token")
    (tmp_path / "token").unlink()
    with pytest.raises(ConnectionConfigError) as raised:
        ask(set_connection, oauth_server, **extra)
    assert raised.value.field == "client_assertion_file"


def test_client_secret_jwt_signs_with_the_secret_and_never_sends_it(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "client_secret_jwt")
    form = ask(set_connection, oauth_server, password="s" * 40, client_auth="client_secret_jwt")
    assert "s" * 40 not in form.values()


def test_a_refresh_token_goes_with_a_signed_client_too(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "private_key_jwt", public_key=public_pem_of(KEY).decode())
    form = ask(
        set_connection,
        oauth_server,
        password=None,
        private_key=pem_of(KEY),
        refresh_token=oauth_server.issue_refresh_token(),
    )
    assert form["grant_type"] == "refresh_token"


def test_an_issuer_is_all_that_is_needed(
    oauth_server_factory: ServerFactory, set_connection: SetConnection
) -> None:
    forget_metadata()
    server = oauth_server_factory(client_auth=("client_secret_post",))
    form = ask(set_connection, server, token_url=None, issuer=server.base_url, client_auth=None)
    assert form["client_secret"] == server.client_secret


def test_jwt_bearer_gets_a_token_for_its_subject_and_subjects_do_not_share(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "none", public_key=public_pem_of(KEY).decode())
    for subject in ("alice", "bob"):
        form = ask(
            set_connection,
            oauth_server,
            password=None,
            grant_type="jwt_bearer",
            private_key=pem_of(KEY),
            subject=subject,
        )
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert subjects(oauth_server) == {"alice", "bob"}


def test_jwt_bearer_of_a_subject_that_is_not_allowed_fails_for_good(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "none", public_key=public_pem_of(KEY).decode())
    with pytest.raises(TokenRequestRejected) as raised:
        ask(
            set_connection,
            oauth_server,
            password=None,
            grant_type="jwt_bearer",
            private_key=pem_of(KEY),
            subject="mallory",
        )
    assert not raised.value.retryable


def test_a_saml_assertion_is_read_from_its_file_for_every_request(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    path = tmp_path / "assertion.xml"
    extra = {"grant_type": "saml2_bearer", "assertion_file": str(path)}
    for name in ("alice", "bob"):
        path.write_text(f"<Assertion><NameID>{name}</NameID></Assertion>\n")
        form = ask(set_connection, oauth_server, **extra)
        oauth_server.revoke_access_tokens()
    assert base64.urlsafe_b64decode(form["assertion"] + "==").startswith(b"<Assertion>")
    assert "bob" in base64.urlsafe_b64decode(form["assertion"] + "==").decode()


def test_a_token_is_exchanged_for_several_audiences_and_resources(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    ask(
        set_connection,
        oauth_server,
        grant_type="token_exchange",
        subject_token=oauth_server.issue_access_token(),
        audience=["one", "two"],
        resource="https://a.example, https://b.example",
    )
    body = oauth_server.requests[0].body
    assert body.count("audience=") == body.count("resource=") == 2


def test_a_token_that_is_not_for_http_is_refused(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    with pytest.raises(InvalidTokenResponse, match="Tokens of type 'N_A' cannot be sent"):
        ask(
            set_connection,
            oauth_server,
            grant_type="token_exchange",
            subject_token=oauth_server.issue_access_token(),
            requested_token_type="urn:ietf:params:oauth:token-type:saml2",
        )


PLACES = {"token_path": "data.jwt", "expires_path": "data.until"}


def test_the_response_of_a_token_endpoint_may_have_other_names(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    answer = {"data": {"jwt": oauth_server.issue_access_token(), "until": "2100-01-01T00:00:00Z"}}
    headers = {"Content-Type": "application/json"}
    oauth_server.fault("/oauth/token", status=200, headers=headers, body=json.dumps(answer))
    ask(set_connection, oauth_server, **PLACES)
    source = token_source(load_settings("crm"))
    assert source is not None
    assert source.token().expires_at == pytest.approx(4102444800, abs=5)


@pytest.mark.parametrize("name", PLACES)
def test_a_place_that_is_no_jmespath_is_refused(
    name: str, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    with pytest.raises(ConnectionConfigError, match="not a JMESPath expression") as raised:
        ask(set_connection, oauth_server, **{name: "data..x"})
    assert raised.value.field == name


def test_a_lifetime_in_the_connection_is_the_tokens(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    ask(set_connection, oauth_server, token_lifetime=77)
    source = token_source(load_settings("crm"))
    assert source is not None
    token = source.token()
    assert token.expires_at == pytest.approx(token.obtained_at + 77)


def test_another_subject_token_is_another_grant(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    for _ in range(2):
        token = oauth_server.issue_access_token()
        ask(set_connection, oauth_server, grant_type="token_exchange", subject_token=token)
    assert oauth_server.counters.tokens_issued == 2


def test_the_password_grant_works_and_warns_once(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oauth_taskflow.connections.readers.grant._warned", set())
    extra = {"grant_type": "password", "username": "alice", "user_password": "alice-password"}
    for _ in range(2):
        ask(set_connection, oauth_server, **extra)
    warnings = [r.getMessage() for r in caplog.records if "password grant" in r.getMessage()]
    assert warnings == [
        "Connection 'crm' uses the password grant, which RFC 9700 §2.4 forbids: it hands a user's password to every "
        "worker. Use client_credentials or refresh_token where the server knows them."
    ]
    assert "alice" in subjects(oauth_server)


def test_a_wrong_user_password_blames_the_right_fields(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    extra = {"grant_type": "password", "username": "alice", "user_password": "wrong"}
    with pytest.raises(TokenRequestRejected) as raised:
        ask(set_connection, oauth_server, **extra)
    assert "wrong" not in str(raised.value)


def test_a_vendors_grant_goes_by_its_name_and_parameters(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    params = {"account_id": "acme"}
    form = ask(set_connection, oauth_server, grant_type="account_credentials", token_params=params)
    assert (form["grant_type"], form["account_id"]) == ("account_credentials", "acme")


def test_a_client_certificate_is_shown_to_the_token_endpoint_and_to_the_api(
    oauth_server_factory: ServerFactory, set_connection: SetConnection, tmp_path: Path
) -> None:
    certificate = certificate_of(KEY)
    (tmp_path / "client.pem").write_text(pem_of(KEY) + certificate.decode())
    (tmp_path / "clients.pem").write_bytes(certificate)
    context, ca = self_signed(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "clients.pem")
    server = oauth_server_factory(tls=context)
    der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    register(server, "tls_client_auth", certificate=der)
    form = ask(
        set_connection,
        server,
        password=None,
        client_auth="tls_client_auth",
        cert=str(tmp_path / "client.pem"),
        verify=str(ca),
    )
    assert form["client_id"] == server.client_id
    assert len(server.requests) == 2
