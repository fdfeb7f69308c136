"""DPoP (RFC 9449): access tokens that work only together with the key they were issued to. No I/O.

Every request carries a fresh proof, a JWT signed with that key over method and URL. The authorization server and each
resource server may demand a nonce in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.http_headers import TOLERATED_SKEW, server_skew
from oauth_taskflow.oauth.signing import SigningKey
from oauth_taskflow.secret_values import NeverPickled

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Role = Literal["authorization", "resource"]
_Place = tuple[Role, str]
_Value = TypeVar("_Value")
# The first is what ``dpop: true`` means.
DPOP_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "RS256")
HEADER = "DPoP"
NONCE_HEADER = "DPoP-Nonce"
NONCE_WANTED = "use_dpop_nonce"
PROOF_REFUSED = "invalid_dpop_proof"
_RSA_BITS = 2048
_MOST_SERVERS = 256
_LONGEST_NONCE = 1024
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def new_key(algorithm: str) -> str:
    """A new private key for one of ``DPOP_ALGORITHMS``, as the text that the token store keeps: a secret."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only DPoP needs it

    pem = _generate(algorithm).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return f"{algorithm}\n{pem.decode()}"


def _generate(algorithm: str) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - as above

    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(65537, _RSA_BITS)


class Prover(NeverPickled):
    """Makes the proofs of one key, and remembers nonces and clocks of the servers that see them. Safe for threads.

    ``thumbprint`` (RFC 7638) names the key; the servers know it too.
    """

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._jwk = key.public_jwk()
        canonical = json.dumps(self._jwk, separators=(",", ":"), sort_keys=True)
        self.thumbprint = _hash(canonical)
        self._nonces: dict[_Place, str] = {}
        self._skews: dict[_Place, float] = {}

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
        place = (role, _origin(url))
        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method.upper(),
            "htu": target(url),
            "iat": int(clock.now() + self._skews.get(place, 0.0)),
        }
        if access_token:
            claims["ath"] = _hash(access_token)
        nonce = self._nonces.get(place)
        if nonce:
            claims["nonce"] = nonce
        return self._key.sign(claims, {"typ": "dpop+jwt", "jwk": self._jwk})

    def remember_nonce(self, role: Role, url: str, headers: Mapping[str, str]) -> None:
        """Keep the nonce that the answer to a request of ``url`` names, for the next proof (RFC 9449 §8.2).

        Header names are looked up as ``DPoP-Nonce`` and in lower case.
        """
        nonce = headers.get(NONCE_HEADER) or headers.get(NONCE_HEADER.lower()) or ""
        if not nonce or len(nonce) > _LONGEST_NONCE:
            return
        _keep(self._nonces, (role, _origin(url)), nonce)

    def set_clock(
        self, role: Role, url: str, headers: Mapping[str, str], *, clock: Clock = SYSTEM_CLOCK
    ) -> bool:
        """Make the next proofs on the clock that the ``Date`` of a response shows; False if that changes nothing.

        Call it after a refused proof only: a date out of a cache must not spoil proofs that are accepted.
        """
        place = (role, _origin(url))
        skew = server_skew(headers, clock.now())
        if skew is None or max(abs(skew), abs(self._skews.get(place, 0.0))) <= TOLERATED_SKEW:
            return False
        _keep(self._skews, place, skew)
        return True


def _keep(memory: dict[_Place, _Value], place: _Place, value: _Value) -> None:
    """Remember ``value``, and forget the oldest where there are too many."""
    if len(memory) >= _MOST_SERVERS and place not in memory:
        for oldest in list(memory)[:1]:
            memory.pop(oldest, None)
    memory[place] = value


@lru_cache(
    maxsize=64
)  # reading a key takes longer than signing, and the nonces live as long as the key
def prover(stored: str) -> Prover:
    """Returns the ``Prover`` of a key that ``new_key`` made; the same object for the same key."""
    algorithm, _, pem = stored.partition("\n")
    return Prover(SigningKey(pem.encode(), algorithm))


def target(url: str) -> str:
    """``url`` as ``htu`` has it: without query, fragment, user and default port (RFC 9449 §4.2 and §4.3)."""
    parts = urlsplit(url)
    return f"{_origin(url)}{parts.path or '/'}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{place.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ''))}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
