"""A JWT that is signed here and is the token itself: what it says, how long it lives, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from oauth_taskflow.connections.parse import may_hold_grant, parse_connection
from oauth_taskflow.connections.settings import SelfSignedSettings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.self_signed import SelfSignedTokenSource
from tests.connections.samples import kind
from tests.oauth.keys import new_key, pem_of, rsa_key
from tests.support.clock import FakeClock

EC = pem_of(new_key())
RSA = pem_of(rsa_key())
SHARED = "hush-hush-hush-hush-hush-hush-hush"


def settings(extra: dict[str, Any], **fields: Any) -> SelfSignedSettings:
    extra = {"private_key": EC, **extra}
    auth = parse_connection(kind("self_signed_jwt", extra, **{"password": None, **fields})).auth
    assert isinstance(auth, SelfSignedSettings)
    return auth


def complaint(extra: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        settings(extra, **fields)
    return str(caught.value)


def claims_of(token: str, pem: str, algorithm: str, **options: Any) -> dict[str, Any]:
    public: Any = load_pem_private_key(pem.encode(), None).public_key()
    checks: Any = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
    return jwt.decode(token, public, [algorithm], options=checks, **options)


def test_app_store_connect_gets_what_it_wants() -> None:
    # developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests
    auth = settings(
        {
            "key_id": "2X9R4HXF34",
            "jwt_claims": {"aud": "appstoreconnect-v1", "scope": ["GET /v1/apps"]},
            "jwt_lifetime": 1200,
        },
        login="57246542-96fe-1a63-e053-0824d011072a",
    )
    token = auth.jwt.sign(1_800_000_000.7)
    assert jwt.get_unverified_header(token.access_token) == {
        "alg": "ES256",
        "kid": "2X9R4HXF34",
        "typ": "JWT",
    }
    claims = claims_of(token.access_token, EC, "ES256")
    assert claims == {
        "iss": "57246542-96fe-1a63-e053-0824d011072a",
        "iat": 1_799_999_990,
        "exp": 1_800_001_190,
        "aud": "appstoreconnect-v1",
        "scope": ["GET /v1/apps"],
    }
    assert claims["exp"] - claims["iat"] <= 20 * 60
    assert token.expires_at == claims["exp"]


def test_snowflake_gets_what_it_wants() -> None:
    # docs.snowflake.com/en/developer-guide/sql-api/authenticating
    named = {
        "iss": "MYORG-MYACCOUNT.{login}.SHA256:{public_key_sha256}",
        "sub": "MYORG-MYACCOUNT.{login}",
    }
    auth = settings({"private_key": RSA, "jwt_claims": named}, login="ETL")
    public = load_pem_private_key(RSA.encode(), None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(der).digest()).decode()
    claims = claims_of(auth.jwt.sign(1000.0).access_token, RSA, "RS256")
    assert claims["iss"] == f"MYORG-MYACCOUNT.ETL.SHA256:{digest}"
    assert claims["sub"] == "MYORG-MYACCOUNT.ETL"


def test_a_shared_secret_signs_too_and_null_leaves_a_claim_out() -> None:
    extra = {"private_key": None, "jwt_claims": {"iss": None, "iat": None, "aud": "/admin/"}}
    auth = settings({**extra, "jwt_headers": {"typ": "X"}}, password=SHARED)
    token = auth.jwt.sign(1000.0).access_token
    checks: Any = {"verify_exp": False, "verify_aud": False}
    assert jwt.decode(token, SHARED, ["HS256"], options=checks) == {"exp": 1590, "aud": "/admin/"}
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "X"}
    assert "hush" not in repr(auth)


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    clock = FakeClock()
    source = SelfSignedTokenSource(settings({}).jwt, 60.0, clock)
    first = source.token()
    assert source.token() is first
    clock.sleep(520)
    assert source.token() is first
    clock.sleep(15)
    second = source.token()
    assert second.access_token != first.access_token
    assert source.replace_refused(first.access_token) is second
    clock.sleep(1)
    assert source.replace_refused(second.access_token).access_token != second.access_token
    assert repr(source) == "SelfSignedTokenSource(***)"


def test_connections_that_sign_their_jwt_are_brokered() -> None:
    assert may_hold_grant(kind("self_signed_jwt"))
    assert may_hold_grant(kind("self_signed_jwt", conn_type="http"))


@pytest.mark.parametrize(
    ("extra", "fields", "words"),
    [
        ({"private_key": None}, {}, "The key that signs is missing"),
        ({"private_key": None}, {"password": "short-hush"}, "too short for HS256"),
        ({}, {"password": SHARED}, "A password is given, and the private key signs"),
        ({"jwt_lifetime": 0.5}, {}, "from 1 to 86400"),
        ({"jwt_lifetime": 1e9}, {}, "from 1 to 86400"),
        ({"jwt_claims": {"exp": 1}}, {}, "jwt_claims fixes exp"),
        ({"jwt_claims": {"iat": "now"}}, {}, "jwt_claims fixes iat"),
        ({"jwt_claims": {"sub": "{login}"}}, {"login": None}, "jwt_claims needs the login"),
        ({"jwt_headers": {"kid": "x"}}, {}, "Write key_id instead."),
        ({"jwt_headers": {"alg": "none"}}, {}, "Write algorithm instead."),
        ({"algorithm": "RS256"}, {}, "does not fit a key of kind EC P-256"),
        ({"private_key": "x"}, {}, "is not a PEM private key"),
        ({"token_url": "https://id.example.com/token"}, {}, "no effect with auth_type"),
        (
            {"private_key": None, "jwt_claims": {"iss": "{public_key_sha256}"}},
            {"password": SHARED},
            "a shared secret has none",
        ),
    ],
)
def test_claims_and_keys_that_cannot_make_a_jwt_are_refused(
    extra: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    text = complaint(extra, **fields)
    assert words in text
    assert "hush" not in text
