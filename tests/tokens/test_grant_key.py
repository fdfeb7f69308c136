"""The stored fingerprint of a client stays the same from release to release: another one would lift a cool-down."""

from __future__ import annotations

import pytest

from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.credential_source import InlineCredential
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.extension_grants import JwtBearer, Password
from oauth_taskflow.oauth.grants import ClientCredentials, Grant
from oauth_taskflow.oauth.signing import Signer, SigningKey
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.grant_key import Fingerprints

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SIGNER = Signer(SigningKey(b"key", "HS256"), "https://id.example.com")
CLIENTS = {
    "secret": Client("me", "secret"),
    "signer": Client("me", signer=SIGNER),
    "assertion": Client("me", assertion=InlineCredential("assertion")),
}
GRANTS: dict[str, Grant] = {
    "own": ClientCredentials(),
    "password": Password("ann", "pw"),
    "jwt": JwtBearer(SIGNER, "me", "ann"),
}


@pytest.mark.parametrize(
    ("grant", "client", "stored"),
    [
        ("own", "secret", "296cf3ef63de1279"),
        ("own", "signer", "50607cb691f00a82"),
        ("own", "assertion", "ebc3fda5b6253830"),
        ("password", "secret", "a1c0589b18d90317"),
        ("password", "signer", "0c36c9ac2babc1de"),
        ("password", "assertion", "0f7d77de16eb558e"),
        ("jwt", "secret", "ed2a9b63faddc9bd"),
        ("jwt", "signer", "387528a99cf497fb"),
        ("jwt", "assertion", "c8799e969c4c309c"),
    ],
)
def test_the_fingerprint_of_a_client_is_that_of_earlier_releases(
    grant: str, client: str, stored: str
) -> None:
    endpoint = TokenEndpoint("https://id.example.com/token", CLIENTS[client], conn_id="crm")
    fingerprints = Fingerprints.for_grant(endpoint, GRANTS[grant], TokenCipher([KEY]))
    assert fingerprints.client[0].startswith(stored)
