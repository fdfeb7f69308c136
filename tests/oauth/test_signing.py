"""Assertions, checked with a JOSE library that shares no code with ours."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion  # the oracle, see verify()
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519
from joserfc import jwk, jwt

from oauth_taskflow.oauth import signing
from oauth_taskflow.oauth.signing import Signer, UnusableKey, private_key, shared_key, tidy_pem
from tests.oauth.keys import PrivateKey, certificate_of, pem_of, public_pem_of, rsa_key
from tests.support.clock import FakeClock

RSA = rsa_key()
KEYS: dict[str, PrivateKey] = {
    "RS256": RSA,
    "RS384": RSA,
    "RS512": RSA,
    "PS256": RSA,
    "PS384": RSA,
    "PS512": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def verify(assertion: str, key: jwk.Key, algorithm: str) -> jwt.Token:
    """The claims of ``assertion`` if joserfc finds its signature right, by that algorithm only."""
    return jwt.decode(assertion, key, algorithms=[algorithm])


def header_of(assertion: str) -> dict[str, Any]:
    raw = assertion.split(".", maxsplit=1)[0]
    return dict(json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864; servers go on asking for it
@pytest.mark.parametrize("algorithm", KEYS)
def test_another_library_accepts_the_signature(algorithm: str) -> None:
    key = private_key(pem_of(KEYS[algorithm]), algorithm=algorithm, key_id="k-1")
    assertion = Signer(key, "https://id.example.com/token").assertion("me", "me", {})
    public = jwk.import_key(public_pem_of(KEYS[algorithm]).decode(), _type(algorithm))
    token = verify(assertion, public, algorithm)
    assert token.header == {"alg": algorithm, "typ": "JWT", "kid": "k-1"}
    assert (token.claims["iss"], token.claims["sub"]) == ("me", "me")


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_json_web_key_signs_like_the_same_key_in_pem(algorithm: str) -> None:
    pem = pem_of(KEYS[algorithm])
    theirs = jwk.import_key(pem, _type(algorithm)).as_dict(private=True)
    text = json.dumps({**theirs, "kid": "k-2", "alg": algorithm})
    key = private_key(text)
    assert (key.key_id, key.algorithm) == ("k-2", algorithm)
    public = jwk.import_key(public_pem_of(KEYS[algorithm]).decode(), _type(algorithm))
    assert verify(key.sign({"iss": "me"}), public, algorithm).claims == {"iss": "me"}
    assert private_key(text, key_id="mine").key_id == "mine"


def test_the_algorithm_of_a_json_web_key_must_fit_it_too() -> None:
    theirs = jwk.import_key(pem_of(RSA), "RSA").as_dict(private=True)
    assert (
        private_key(json.dumps({**theirs, "alg": "RS256"}), algorithm="PS256").algorithm == "PS256"
    )
    with pytest.raises(UnusableKey, match="ES256 does not fit a key of kind RSA"):
        private_key(json.dumps({**theirs, "alg": "ES256"}))


def _type(algorithm: str) -> Any:
    return {"R": "RSA", "P": "RSA", "E": "EC"}[algorithm[0]] if algorithm != "EdDSA" else "OKP"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_client_secret_signs_too(algorithm: str) -> None:
    secret = "s" * 64
    assertion = Signer(shared_key(secret, algorithm=algorithm)).assertion("me", "me", {})
    assert verify(assertion, jwk.OctKey.import_key(secret), algorithm).claims["iss"] == "me"


def test_a_short_client_secret_is_refused() -> None:
    with pytest.raises(UnusableKey, match=r"too short for HS256: it needs 32 bytes") as caught:
        shared_key("short")
    assert caught.value.about == "key"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (KEYS["ES256"], "ES256"),
        (KEYS["ES384"], "ES384"),
        (KEYS["ES512"], "ES512"),
        (KEYS["EdDSA"], "EdDSA"),
        (ed448.Ed448PrivateKey.generate(), "EdDSA"),
    ],
)
def test_the_kind_of_key_gives_the_default_algorithm(key: PrivateKey, algorithm: str) -> None:
    assert private_key(pem_of(key)).algorithm == algorithm


def test_an_assertion_lives_two_minutes_begins_a_little_earlier_and_is_unique() -> None:
    clock = FakeClock()
    signer = Signer(private_key(pem_of(KEYS["ES256"])), "aud", clock=clock)
    public = jwk.import_key(public_pem_of(KEYS["ES256"]).decode(), "EC")
    one, two = (verify(signer.assertion("i", "s", {}), public, "ES256").claims for _ in range(2))
    now = int(clock.now())
    assert (one["iat"], one["exp"], one["aud"]) == (now - 10, now + 120, "aud")
    assert one["jti"] != two["jti"]
    late = verify(signer.with_skew(500.0).assertion("i", "s", {}), public, "ES256").claims
    assert late["exp"] == now + 620


def test_extra_claims_win() -> None:
    signer = Signer(private_key(pem_of(KEYS["ES256"])), "aud")
    public = jwk.import_key(public_pem_of(KEYS["ES256"]).decode(), "EC")
    claims = verify(signer.assertion("i", "s", {"aud": "other", "x": "1"}), public, "ES256").claims
    assert (claims["aud"], claims["x"]) == ("other", "1")


def test_an_audience_is_filled_in_once() -> None:
    signer = Signer(private_key(pem_of(KEYS["ES256"])))
    assert signer.with_audience("a").with_audience("b").audience == "a"


def test_a_certificate_with_the_key_is_named_by_its_thumbprint() -> None:
    certificate = certificate_of(RSA)
    key = private_key(pem_of(RSA) + certificate.decode())
    named = base64.urlsafe_b64decode(key.certificate_thumbprint + "=")
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - the oracle

    assert named == load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256())
    assertion = Signer(key).assertion("i", "s", {})
    assert header_of(assertion)["x5t#S256"] == key.certificate_thumbprint


def test_a_foreign_or_broken_certificate_is_refused() -> None:
    foreign = certificate_of(KEYS["ES256"]).decode()
    with pytest.raises(UnusableKey, match="belongs to another key"):
        private_key(pem_of(RSA) + foreign)
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(UnusableKey, match="cannot be read"):
        private_key(pem_of(RSA) + broken)


@pytest.mark.parametrize(
    ("pem", "options", "message", "about"),
    [
        ("not a key", {}, "The private key is not a PEM private key", "key"),
        (
            pem_of(RSA, b"right"),
            {"passphrase": "wrong"},
            "The private key is not a PEM private key, or its passphrase is wrong",
            "passphrase",
        ),
        (pem_of(RSA, b"right"), {}, "The private key needs a passphrase", "passphrase"),
        (pem_of(RSA), {"passphrase": "x"}, "The private key takes no passphrase", "passphrase"),
        (
            pem_of(KEYS["ES256"]),
            {"algorithm": "RS256"},
            "The algorithm RS256 does not fit a key of kind EC P-256, which signs with ES256",
            "algorithm",
        ),
        (
            pem_of(RSA),
            {"algorithm": "none"},
            "The algorithm none does not fit a key of kind RSA, which signs with RS256, RS384, RS512, PS256, PS384, "
            "PS512",
            "algorithm",
        ),
        (
            pem_of(ec.generate_private_key(ec.SECP256K1())),
            {},
            "Nothing can be signed with a key of kind EC secp256k1",
            "key",
        ),
        (
            pem_of(dsa.generate_private_key(1024)),
            {"algorithm": "RS256"},
            "The algorithm RS256 does not fit a key of kind DSAPrivateKey, which signs with nothing known here",
            "algorithm",
        ),
        (
            pem_of(rsa_key(1024)),
            {},
            "The RSA key has 1024 bits; 2048 is the least (RFC 7518 §3.3)",
            "key",
        ),
    ],
)
def test_an_unusable_key_is_named(
    pem: str, options: dict[str, str], message: str, about: str
) -> None:
    with pytest.raises(UnusableKey) as caught:
        private_key(pem, **options)
    assert (str(caught.value), caught.value.about) == (message, about)
    assert caught.value.__cause__ is None


def test_a_passphrase_opens_a_key_in_both_encrypted_forms() -> None:
    for legacy in (False, True):
        key = private_key(pem_of(RSA, b"right", legacy=legacy), passphrase="right")
        assert key.sign({"a": 1})


@pytest.mark.parametrize(
    "mangle",
    [
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", " "),
        lambda pem: pem.replace("\n", ""),
        lambda pem: pem.replace("\n", "\r\n"),
    ],
)
def test_line_breaks_that_forms_and_shells_remove_from_pem_are_restored(mangle: Any) -> None:
    pem = pem_of(RSA)
    assert tidy_pem(mangle(pem)) == pem


def test_the_mark_changes_with_the_key_and_nothing_shows_it() -> None:
    one, other = private_key(pem_of(RSA)), private_key(pem_of(KEYS["ES256"]))
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint != private_key(pem_of(RSA), key_id="k").fingerprint
    assert "PRIVATE" not in repr(one) + repr(Signer(one))
    assert hashlib.sha256(pem_of(RSA).encode()).hexdigest() in one.fingerprint
    assert signing.LIFETIME <= 300  # RFC 7523 names no limit; five minutes is the rule here


def test_authlib_accepts_our_client_assertion() -> None:
    key = KEYS["PS256"]

    class Oracle(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib ships no types
        CLIENT_AUTH_METHOD = "private_key_jwt"

        def get_audiences(self) -> list[str]:
            return ["https://id.example.com/token"]

        def validate_jti(self, claims: Any, jti: str) -> bool:
            return bool(jti)

        def resolve_client_public_key(self, client: Any) -> Any:
            return jwk.import_key(public_pem_of(key).decode(), "RSA")

    signer = Signer(private_key(pem_of(key)), "https://id.example.com/token")
    claims = Oracle().process_assertion_claims(
        signer.assertion("me", "me", {}), Oracle().resolve_client_public_key(None)
    )
    assert claims["sub"] == "me"
