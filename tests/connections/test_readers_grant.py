"""The one clear error for each wrong set of grant, client and key fields; and what short names mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.connections.fields.grants import SIGNING_ALGORITHMS
from oauth_taskflow.connections.parse import may_hold_grant, parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.endpoint.discovered_endpoint import DiscoveredEndpoint
from oauth_taskflow.oauth.extension_grants import (
    JWT_BEARER,
    SAML2_BEARER,
    TOKEN_EXCHANGE,
    JwtBearer,
    NamedGrant,
)
from oauth_taskflow.oauth.signing import ALGORITHMS
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from tests.connections.samples import connection
from tests.oauth.keys import new_key, pem_of, rsa_key

PEM = pem_of(new_key())
WEAK = pem_of(rsa_key(1024))
KEYED: dict[str, Any] = {"private_key": PEM}
SIGNED: dict[str, Any] = {"grant_type": "jwt_bearer", "private_key": PEM}
EXCHANGE: dict[str, Any] = {"grant_type": "token_exchange", "subject_token": "st"}


def settings(extra: dict[str, Any], **fields: Any) -> ConnectionSettings:
    return parse_connection(connection(extra, **fields))


def auth(extra: dict[str, Any], **fields: Any) -> OAuth2Settings:
    found = settings(extra, **fields).auth
    assert isinstance(found, OAuth2Settings)
    return found


PUBLIC: dict[str, Any] = {"password": None}
REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"grant_type": "client_credential"}, {}, "grant_type", "Did you mean 'client_credentials'?"),
    ({"grant_type": "passwordd"}, {}, "grant_type", "Did you mean 'password'?"),
    (
        {"grant_type": "a b"},
        {},
        "grant_type",
        "one of client_credentials, refresh_token, jwt_bearer, saml2_bearer, ",
    ),
    (KEYED, {}, "client_auth", "A private key is given, and client_auth client_secret_basic would"),
    (
        {**KEYED, "client_auth": "client_secret_jwt"},
        {"password": "s" * 32},
        "client_auth",
        "A private key is given, and client_auth client_secret_jwt would not use it",
    ),
    (
        {**KEYED, "client_auth": "private_key_jwt"},
        {},
        "client_auth",
        "A client secret is given, and client_auth private_key_jwt would not send it",
    ),
    (
        {"client_auth": "private_key_jwt"},
        PUBLIC,
        "private_key",
        "The private key is missing, and client_auth is private_key_jwt",
    ),
    (
        {"client_auth": "tls_client_auth"},
        PUBLIC,
        "cert",
        "The client certificate is missing, and client_auth is tls_client_auth",
    ),
    ({"client_auth": "client_secret_jwt"}, {}, "password", "too short for HS256"),
    (
        {"client_auth": "client_secret_jwt", "algorithm": "ES256"},
        {"password": "s" * 32},
        "algorithm",
        "The algorithm ES256 does not fit a client secret",
    ),
    ({**KEYED, "algorithm": "RS256"}, PUBLIC, "algorithm", "does not fit a key of kind EC P-256"),
    ({**KEYED, "algorithm": "none"}, PUBLIC, "algorithm", "The value must be one of RS256"),
    ({"private_key": WEAK}, PUBLIC, "private_key", "The RSA key has 1024 bits"),
    ({"private_key": "nonsense"}, PUBLIC, "private_key", "is not a PEM private key"),
    ({"private_key": 7}, PUBLIC, "private_key", "The value must be text"),
    (
        {**KEYED, "private_key_passphrase": "x"},
        PUBLIC,
        "private_key_passphrase",
        "The private key takes no passphrase",
    ),
    (
        {**KEYED, "private_key_file": "/k.pem"},
        PUBLIC,
        "private_key_file",
        "The private key is given twice",
    ),
    (
        {"private_key_file": "/missing/key.pem"},
        PUBLIC,
        "private_key_file",
        "The file cannot be read (FileNotFoundError)",
    ),
    ({"private_key_file": "a\0b"}, PUBLIC, "private_key_file", "cannot be read (ValueError)"),
    ({"key_id": "k"}, {}, "key_id", "belongs to a private key, and the connection has none"),
    (
        {**KEYED, "assertion_audience": "issuer"},
        PUBLIC,
        "assertion_audience",
        "The audience is the issuer, and the connection has no issuer",
    ),
    ({"issuer": "http://id.example.com"}, {}, "issuer", "The issuer is not an https URL"),
    ({"subject": "alice"}, {}, "subject", "has no effect with grant_type client_credentials"),
    ({**SIGNED, "username": "a"}, PUBLIC, "username", "set grant_type to password"),
    ({**SIGNED, "refresh_token": "rt"}, PUBLIC, "refresh_token", "does not belong to the urn:ietf"),
    ({"grant_type": "jwt_bearer"}, {}, "assertion", "or private_key to sign it here"),
    (
        {"client_auth": "client_assertion"},
        PUBLIC,
        "client_assertion_file",
        "The client assertion is missing",
    ),
    ({"grant_type": "saml2_bearer"}, {}, "assertion", "Add assertion or assertion_file."),
    (
        {"grant_type": "jwt_bearer", "assertion": "a.b.c", "subject": "alice"},
        {},
        "subject",
        "subject cannot be put into an assertion that is given",
    ),
    (
        {"grant_type": "jwt_bearer", "assertion": "a.b.c", "assertion_file": "/f"},
        {},
        "assertion_file",
        "assertion is given twice",
    ),
    ({"grant_type": "token_exchange"}, {}, "subject_token", "The subject token is missing"),
    (
        {**EXCHANGE, "actor_token_type": "x"},
        {},
        "actor_token_type",
        "The token it describes is missing",
    ),
    ({"grant_type": "password", "username": "a"}, {}, "user_password", "needs user_password"),
    ({"resource": "graph"}, {}, "resource", "is not an absolute URI without fragment"),
    ({"resource": "https://a.example/#x"}, {}, "resource", "is not an absolute URI"),
    ({"resource": "https://[::1"}, {}, "resource", "is not an absolute URI"),
]


@pytest.mark.parametrize(("extra", "fields", "field", "text"), REFUSALS)
def test_a_wrong_set_of_fields_is_refused_with_one_clear_message(
    extra: dict[str, Any], fields: dict[str, Any], field: str, text: str
) -> None:
    with pytest.raises(ConnectionConfigError) as raised:
        settings(extra, **fields)
    assert raised.value.field == field
    assert text in str(raised.value)
    assert raised.value.__cause__ is None
    assert "PRIVATE KEY" not in str(raised.value)


def test_short_names_of_grants_are_the_registered_ones() -> None:
    assert auth(SIGNED, **PUBLIC).grant_type == JWT_BEARER
    assert auth({**SIGNED, "grant_type": JWT_BEARER}, **PUBLIC).grant_type == JWT_BEARER
    assert auth({"grant_type": "saml2_bearer", "assertion": "x"}).grant_type == SAML2_BEARER
    assert auth(EXCHANGE).grant_type == TOKEN_EXCHANGE


@pytest.mark.parametrize("name", ["account_credentials", "fb_exchange_token", "ig_refresh_token"])
def test_a_vendors_grant_is_accepted_by_its_name(name: str) -> None:
    found = grant(auth({"grant_type": name, "token_params": {"a": "b"}}))
    assert isinstance(found, NamedGrant)
    assert (found.grant_type, found.options.params) == (name, {"a": "b"})


@pytest.mark.parametrize(
    ("extra", "fields", "method"),
    [
        ({}, {}, "client_secret_basic"),
        (KEYED, PUBLIC, "private_key_jwt"),
        (SIGNED, PUBLIC, "unauthenticated"),
        (SIGNED, {}, "client_secret_basic"),
        ({**SIGNED, "client_auth": "private_key_jwt"}, PUBLIC, "private_key_jwt"),
        (EXCHANGE, PUBLIC, "none"),
        (EXCHANGE, {**PUBLIC, "login": ""}, "unauthenticated"),
        ({"issuer": "https://id.example.com", "cert": "/c.pem"}, PUBLIC, "tls_client_auth"),
        ({"client_auth": "client_secret_basic_raw"}, {}, "client_secret_basic_raw"),
        ({"client_auth": "self_signed_tls_client_auth", "cert": "/c"}, PUBLIC, "self_signed_tls_client_auth"),
    ],
)  # fmt: skip
def test_client_authentication_follows_from_what_is_given(
    extra: dict[str, Any], fields: dict[str, Any], method: str
) -> None:
    assert auth(extra, **fields).client_auth == method


def test_an_issuer_replaces_the_token_url_and_chooses_unless_the_connection_does() -> None:
    issuer = {"issuer": "https://id.example.com", "token_url": ""}
    found = settings(issuer)
    assert isinstance(found.auth, OAuth2Settings)
    endpoint = token_endpoint(found, found.auth)
    assert isinstance(endpoint, DiscoveredEndpoint)
    assert (endpoint.url, endpoint.choose_auth) == ("https://id.example.com", True)
    assert not auth({**issuer, "client_auth": "client_secret_post"}).choose_auth
    both = settings({"issuer": "https://id.example.com"})
    assert isinstance(both.auth, OAuth2Settings)
    assert not isinstance(token_endpoint(both, both.auth), DiscoveredEndpoint)


def test_the_audience_of_assertions_is_what_the_connection_says() -> None:
    def audience(**extra: str) -> str:
        found = auth({**SIGNED, **extra}, **PUBLIC).grant
        assert isinstance(found, JwtBearer)
        return found.signer.audience

    assert audience() == "https://id.example.com/token"
    assert audience(assertion_audience="account.docusign.com") == "account.docusign.com"
    issuer = "https://id.example.com"
    assert audience(assertion_audience="issuer", issuer=issuer) == issuer
    assert audience(issuer=issuer, token_url="") == ""


def test_a_key_is_a_secret() -> None:
    found = settings(KEYED, **PUBLIC)
    assert PEM.strip() in found.secrets
    assert "PRIVATE" not in repr(found)


def test_credentials_in_the_connection_are_secrets() -> None:
    extra = {**EXCHANGE, "actor_token": "at-hidden", "subject_token": "st-hidden"}
    found = settings(extra)
    assert {"at-hidden", "st-hidden"} <= set(found.secrets)
    assert "hidden" not in repr(found)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ConnectionConfigError, match="The file is empty"):
        settings({"private_key_file": str(tmp_path / "empty")}, **PUBLIC)


def test_the_form_offers_the_algorithms_that_can_sign() -> None:
    assert set(SIGNING_ALGORITHMS) == {name for names in ALGORITHMS.values() for name in names}


@pytest.mark.parametrize("name", ["assertion", "assertion_file"])
def test_a_jwt_that_is_given_is_sent_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("a.b.c")
    given = "a.b.c" if name == "assertion" else str(tmp_path / "jwt")
    found = settings({"grant_type": "jwt_bearer", name: given})
    assert isinstance(found.auth, OAuth2Settings)
    assert dict(grant(found.auth).form().params)["assertion"] == "a.b.c"


@pytest.mark.parametrize(("conn_type", "may"), [("oauth2", True), ("http", False)])
def test_an_extra_that_cannot_be_read_says_nothing_of_its_kind(conn_type: str, may: bool) -> None:
    assert may_hold_grant(connection("{", conn_type=conn_type)) is may
