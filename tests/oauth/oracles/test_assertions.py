"""RFC 7523: what we sign, their servers accept and read as we meant it; and it says what theirs say."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import pytest
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidGrantError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from authlib.oauth2.rfc7523.assertion import client_secret_jwt_sign
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk
from jwskate import Jwk, SignedJwt
from oauthlib.oauth2 import ServiceApplicationClient
from requests_oauth2client import ClientSecretJwt, PrivateKeyJwt

from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.client_auth import JWT_ASSERTION, client_assertion
from oauth_taskflow.oauth.extension_grants import JWT_BEARER, JwtBearer
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.signing import Signer, SigningKey, private_key, shared_key
from tests.oauth.keys import PrivateKey, pem_of, public_pem_of, rsa_key
from tests.oauth.oracles.inputs import any_text, few, scopes, visible

URL = "https://id.example.com/token"
SECRET = "s" * 64
RSA = rsa_key()
KEYS: dict[str, PrivateKey] = {
    "RS256": RSA,
    "PS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
SHARED = ("HS256", "HS384", "HS512")
EVERY = pytest.mark.parametrize("algorithm", [*KEYS, *SHARED])


def key_for(algorithm: str) -> SigningKey:
    if algorithm in SHARED:
        return shared_key(SECRET, algorithm=algorithm)
    return private_key(pem_of(KEYS[algorithm]), algorithm=algorithm, key_id="k-1")


@cache
def verifier_for(algorithm: str) -> Jwk:
    """The key that jwskate verifies with."""
    if algorithm in SHARED:
        encoded = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
        return Jwk({"kty": "oct", "k": encoded})
    return Jwk.from_pem(public_pem_of(KEYS[algorithm]))


def sign(client_id: str, algorithm: str, audience: str = URL) -> str:
    """The assertion that our client sends."""
    signer = Signer(key_for(algorithm), audience)
    sent = dict(client_assertion(Client(client_id, signer=signer), TokenForm(())).params)
    assert (sent["client_id"], sent["client_assertion_type"]) == (client_id, JWT_ASSERTION)
    return sent["client_assertion"]


@EVERY
@few
@given(client_id=visible, audience=any_text)
def test_jwskate_takes_our_client_assertions(algorithm: str, client_id: str, audience: str) -> None:
    token = SignedJwt(sign(client_id, algorithm, audience))
    token.validate(
        verifier_for(algorithm),
        alg=algorithm,
        issuer=client_id,
        audience=audience,
        check_exp=True,
        sub=client_id,
    )
    assert token.headers["alg"] == algorithm
    assert token.expires_at is not None
    assert token.issued_at is not None
    assert 0 < (token.expires_at - token.issued_at).total_seconds() <= 300


@EVERY
def test_jwskate_refuses_them_with_another_key(algorithm: str) -> None:
    other = Jwk.generate(alg=algorithm)
    verifier = other if algorithm in SHARED else other.public_jwk()
    assert not SignedJwt(sign("me", algorithm)).verify_signature(verifier, alg=algorithm)


def theirs(client_id: str, algorithm: str) -> list[SignedJwt]:
    """Assertions as the others make them for the same client and token endpoint."""
    if algorithm in SHARED:
        by_authlib = client_secret_jwt_sign(
            jwk.OctKey.import_key(SECRET), client_id, URL, alg=algorithm
        )
        other = ClientSecretJwt(client_id, SECRET, alg=algorithm).client_assertion(URL)
        return [SignedJwt(by_authlib), SignedJwt(other)]
    made = PrivateKeyJwt(client_id, private_jwk(algorithm), alg=algorithm)
    return [SignedJwt(made.client_assertion(URL))]


@cache
def private_jwk(algorithm: str) -> Jwk:
    return Jwk.from_pem(pem_of(KEYS[algorithm])).with_kid_thumbprint()


@EVERY
@few
@given(client_id=visible)
def test_assertions_of_other_libraries_hold_the_same_claims(algorithm: str, client_id: str) -> None:
    mine = SignedJwt(sign(client_id, algorithm))
    for other in theirs(client_id, algorithm):
        assert set(mine.claims) == set(other.claims)
        for name in ("iss", "sub", "aud"):
            assert mine.claims[name] == other.claims[name]
        assert {type(mine.claims[name]) for name in ("iat", "exp")} == {int}


class AuthlibServer(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's own check (RFC 7523 §3), with a memory for ``jti``."""

    def __init__(self, key: jwk.Key) -> None:
        super().__init__()
        self.key, self.seen = key, set[str]()

    def get_audiences(self) -> list[str]:
        return [URL, "https://id.example.com"]

    def validate_jti(self, claims: Any, jti: str) -> bool:
        known = jti in self.seen
        self.seen.add(jti)
        return not known

    def check(self, assertion: str) -> dict[str, Any]:
        return dict(self.process_assertion_claims(assertion, self.key))


RECOMMENDED: dict[str, jwk.Key] = {
    "RS256": jwk.import_key(public_pem_of(KEYS["RS256"]).decode(), "RSA"),
    "ES256": jwk.import_key(public_pem_of(KEYS["ES256"]).decode(), "EC"),
    "HS256": jwk.OctKey.import_key(SECRET),
}


@pytest.mark.parametrize("algorithm", RECOMMENDED)  # Authlib takes no other
def test_authlibs_server_takes_each_once_and_only_for_itself(algorithm: str) -> None:
    server = AuthlibServer(RECOMMENDED[algorithm])
    assertion = sign("me", algorithm)
    assert server.check(assertion)["sub"] == "me"
    with pytest.raises(InvalidClientError, match="used before"):
        server.check(assertion)
    with pytest.raises(InvalidClientError):
        server.check(sign("me", algorithm, "https://other.example.com/token"))


class AuthlibGrant(JWTBearerGrant):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's check of an assertion that is traded (RFC 7523 §2.1)."""

    def __init__(self, key: jwk.Key) -> None:
        self.key = key

    def get_audiences(self) -> list[str]:
        return [URL]

    def resolve_issuer_client(self, issuer: str) -> str:
        return issuer

    def resolve_client_public_key(self, client: str) -> jwk.Key:
        return self.key


def bearer(algorithm: str, issuer: str, subject: str, **more: Any) -> JwtBearer:
    return JwtBearer(Signer(key_for(algorithm), URL), issuer, subject, **more)


@pytest.mark.parametrize("algorithm", RECOMMENDED)
@few
@given(issuer=any_text, subject=any_text, claims=st.dictionaries(st.just("x_tenant"), any_text))
def test_authlib_takes_the_assertion_of_a_jwt_bearer_grant(
    algorithm: str, issuer: str, subject: str, claims: dict[str, str]
) -> None:
    sent = dict(bearer(algorithm, issuer, subject, claims=claims).form().params)
    read = AuthlibGrant(RECOMMENDED[algorithm]).process_assertion_claims(sent["assertion"])
    own = {name: read[name] for name in read if name not in {"iat", "exp", "jti"}}
    assert own == {"iss": issuer, "sub": subject, "aud": URL, **claims}


def test_authlib_refuses_our_assertion_for_another_audience() -> None:
    grant = JwtBearer(Signer(key_for("ES256"), "https://other.example.com"), "me", "alice")
    sent = dict(grant.form().params)
    with pytest.raises(InvalidGrantError):
        AuthlibGrant(RECOMMENDED["ES256"]).process_assertion_claims(sent["assertion"])


@few
@given(issuer=any_text, subject=any_text, scope=scopes)
def test_the_jwt_bearer_request_is_that_of_oauthlib(issuer: str, subject: str, scope: str) -> None:
    grant = bearer("RS256", issuer, subject, options=GrantOptions(scope=scope))
    mine = dict(grant.form().params)
    client = ServiceApplicationClient("me", pem_of(RSA), subject, issuer, URL)
    other = dict(parse_qsl(client.prepare_request_body(scope=scope, jwt_id="one")))
    assert mine["grant_type"] == other["grant_type"] == JWT_BEARER
    assert set(mine) == set(other)
    assert mine.get("scope") == other.get("scope")
    claims, expected = (SignedJwt(sent["assertion"]).claims for sent in (mine, other))
    assert set(claims) == set(expected)
    assert all(claims[name] == expected[name] for name in ("iss", "sub", "aud"))
