"""DPoP (RFC 9449): access tokens that are worth nothing without the key they were issued to. No I/O.

Every request carries a fresh proof, a JWT signed with that key over method and URL. The authorization server and each
resource server may ask for a nonce of their own in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.oauth.signing import SigningKey
from oauth_taskflow.redaction import KeptInProcess

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Role = Literal["authorization", "resource"]
# The first is what ``dpop: true`` means.
DPOP_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "RS256")
HEADER = "DPoP"
NONCE_HEADER = "DPoP-Nonce"
NONCE_WANTED = "use_dpop_nonce"
_RSA_BITS = 2048
_MOST_NONCES = 256
_LONGEST_NONCE = 1024


def new_key(algorithm: str) -> str:
    """A new private key for one of ``DPOP_ALGORITHMS``, as the text that the token store keeps: a secret."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only DPoP needs it

    pem = _generated(algorithm).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return f"{algorithm}\n{pem.decode()}"


def _generated(algorithm: str) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - as above

    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(65537, _RSA_BITS)


class Prover(KeptInProcess):
    """Makes the proofs of one key, and remembers the nonces that servers gave for it. Safe for threads.

    ``thumbprint`` (RFC 7638) names the key; the servers know it too.
    """

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._jwk = key.public_jwk()
        canonical = json.dumps(self._jwk, separators=(",", ":"), sort_keys=True)
        self.thumbprint = _hashed(canonical)
        self._nonces: dict[tuple[Role, str], str] = {}

    def __repr__(self) -> str:
        return f"Prover({self.thumbprint!r})"

    def proof(
        self,
        role: Role,
        method: str,
        url: str,
        *,
        access_token: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> str:
        """A proof for one request (RFC 9449 §4.2), with its own ``jti``; a second try needs another one."""
        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method.upper(),
            "htu": target(url),
            "iat": int(clock.now()),
        }
        if access_token:
            claims["ath"] = _hashed(access_token)
        nonce = self._nonces.get((role, _origin(url)))
        if nonce:
            claims["nonce"] = nonce
        return self._key.sign(claims, {"typ": "dpop+jwt", "jwk": self._jwk})

    def heard(self, role: Role, url: str, headers: Mapping[str, str]) -> None:
        """Keep the nonce that the answer to a request of ``url`` names, for the next proof (RFC 9449 §8.2).

        Header names are looked up as ``DPoP-Nonce`` and in lower case.
        """
        nonce = headers.get(NONCE_HEADER) or headers.get(NONCE_HEADER.lower()) or ""
        if not nonce or len(nonce) > _LONGEST_NONCE:
            return
        place = (role, _origin(url))
        if len(self._nonces) >= _MOST_NONCES and place not in self._nonces:
            for oldest in list(self._nonces)[:1]:
                self._nonces.pop(oldest, None)
        self._nonces[place] = nonce


@lru_cache(
    maxsize=64
)  # reading a key takes longer than signing, and the nonces live as long as the key
def prover(stored: str) -> Prover:
    """Who makes proofs with the key that ``new_key`` gave; the same object for the same key."""
    algorithm, _, pem = stored.partition("\n")
    return Prover(SigningKey(pem.encode(), algorithm))


def target(url: str) -> str:
    """``url`` as ``htu`` has it: without query, fragment and user (RFC 9449 §4.2)."""
    parts = urlsplit(url)
    return f"{_origin(url)}{parts.path or '/'}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
