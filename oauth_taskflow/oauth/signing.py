"""Signed assertions (RFC 7521, RFC 7523): a key whose algorithm is fixed, and short-lived JWTs made with it. No I/O."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.oauth.jwk import BadJwk, PrivateJwk, is_jwk, private_jwk
from oauth_taskflow.secret_values import Hidden, SecretValue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# By the kind of key; the first is the default. "none" is never among them.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
    "Ed448": ("EdDSA",),
    "secret": ("HS256", "HS384", "HS512"),
}
LIFETIME = 120
_PUSHED_BACK = 10
_FAR_BACK = 60
_LEAST_RSA_BITS = 2048
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


class UnusableKey(Exception):
    """A key cannot be used to sign; the text says why and never shows the key. ``about`` names what to change.

    ``about`` is ``key``, ``passphrase`` or ``algorithm``.
    """

    def __init__(self, what: str, about: str = "key") -> None:
        super().__init__(what)
        self.about = about


class SigningKey(SecretValue, frozen=True):
    """A private key in PEM or a shared secret, and the one algorithm it signs with.

    ``key_id`` and ``certificate_thumbprint`` (``x5t#S256``, RFC 7515 §4.1.8) go into the header when given.
    """

    material: Hidden[bytes]
    algorithm: str
    key_id: str = ""
    certificate_thumbprint: str = ""
    passphrase: Hidden[bytes | None] = None

    @property
    def fingerprint(self) -> str:
        """Changes when the key does; for comparing, not for showing."""
        return hashlib.sha256(self.material).hexdigest() + self.algorithm + self.key_id

    def sign(self, claims: Mapping[str, object], header: Mapping[str, object] | None = None) -> str:
        """``claims`` as a compact JWT, with ``header`` added to the header."""
        import jwt  # noqa: PLC0415 - only signing connections need it

        headers = {
            "kid": self.key_id,
            "x5t#S256": self.certificate_thumbprint,
            **(header or {}),
        }
        given = {name: value for name, value in headers.items() if value}
        key: Any = self.material
        if not self.algorithm.startswith("HS"):
            key = _load(self.material, self.passphrase)
        return jwt.encode(dict(claims), key, algorithm=self.algorithm, headers=given)

    def public_jwk(self) -> dict[str, str]:
        """The public half of a private key as a JWK, with nothing but what makes the key (RFC 7638 §3.2)."""
        import jwt  # noqa: PLC0415 - as above

        key: Any = _load(self.material, self.passphrase)
        algorithm: Any = jwt.get_algorithm_by_name(self.algorithm)
        whole = algorithm.to_jwk(key.public_key(), as_dict=True)
        return {name: whole[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in whole}

    def public_key_sha256(self) -> str:
        """The SHA-256 of the public half (DER, SubjectPublicKeyInfo) in base64, by which Snowflake names a key."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as in sign()
            Encoding,
            PublicFormat,
        )

        key: Any = _load(self.material, self.passphrase)
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()


def private_key(
    pem: str, *, algorithm: str = "", key_id: str = "", passphrase: str = ""
) -> SigningKey:
    """The key in ``pem``, or in a JWK; a certificate in the same text gives ``x5t#S256``. Default algorithm: the first for its kind.

    A JWK's own ``kid`` and ``alg`` replace ``key_id`` and ``algorithm`` that are not given.

    Raises:
        UnusableKey: it cannot be read, is too weak, or does not fit ``algorithm``.
    """
    if is_jwk(pem):
        pem, own_id, own_algorithm = _open_jwk(pem)
        key_id, algorithm = key_id or own_id, algorithm or own_algorithm
    material = tidy_pem(pem).encode()
    secret = passphrase.encode() or None
    key = _load(material, secret)
    fitting = ALGORITHMS.get(_kind(key), ())
    return SigningKey(
        material,
        _choose(algorithm, fitting, f"a key of kind {_kind(key)}"),
        key_id,
        _thumbprint(material, key),
        secret,
    )


def _open_jwk(jwk: str) -> PrivateJwk:
    try:
        return private_jwk(jwk)
    except BadJwk as problem:
        raise UnusableKey(str(problem)) from None


def shared_key(secret: str, *, algorithm: str = "", key_id: str = "") -> SigningKey:
    """The client secret as a key for ``client_secret_jwt``.

    Raises:
        UnusableKey: it is shorter than the hash of ``algorithm`` (RFC 7518 §3.2), or the algorithm needs another key.
    """
    chosen = _choose(algorithm, ALGORITHMS["secret"], "a client secret")
    least = int(chosen[2:]) // 8
    if len(secret.encode()) < least:
        raise UnusableKey(
            f"The client secret is too short for {chosen}: it needs {least} bytes (RFC 7518 §3.2)"
        )
    return SigningKey(secret.encode(), chosen, key_id)


class Signer(Struct, frozen=True):
    """Makes assertions for one ``audience`` (``aud``): the token endpoint's URL, the issuer, or what the server wants.

    ``with_audience`` fills in an empty audience once the token endpoint is known. ``skew`` is the server's clock minus ours in seconds.
    """

    key: SigningKey
    audience: str = ""
    skew: float = 0.0
    clock: Clock = SYSTEM_CLOCK

    def assertion(self, issuer: str, subject: str, claims: Mapping[str, object]) -> str:
        """A fresh JWT of two minutes, with its own ``jti``; ``iat`` is pushed back for servers whose clock is behind.

        An empty ``subject`` is left out: the issuer acts for itself.
        """
        now = int(self.clock.now() + self.skew)
        own = {
            "iss": issuer,
            **({"sub": subject} if subject else {}),
            "aud": self.audience,
            "iat": now - _PUSHED_BACK,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        return self.key.sign({**own, **claims})

    def statement(self, issuer: str) -> str:
        """A fresh JWT that says who ``issuer`` is and nothing more; ``aud`` only where this signer has one.

        GitHub wants ``iat`` a minute in the past and ``exp`` at most ten ahead.
        """
        now = int(self.clock.now() + self.skew)
        audience = {"aud": self.audience} if self.audience else {}
        times = {"iat": now - _FAR_BACK, "exp": now + LIFETIME}
        return self.key.sign({"iss": issuer, **audience, **times})

    def with_audience(self, audience: str) -> Signer:
        """This signer, for ``audience`` unless it has one."""
        return self if self.audience else replace(self, audience=audience)

    def with_skew(self, skew: float) -> Signer:
        """This signer on the server's clock."""
        return replace(self, skew=skew)


def tidy_pem(text: str) -> str:
    r"""``text`` with the line breaks that forms, JSON and shells take out of a PEM file (``\n`` in letters, blanks)."""
    text = text.replace("\\n", "\n").replace("\r\n", "\n")
    blocks = _PEM_BLOCK.findall(text)
    return "".join(_tidy_block(label, body) for label, body in blocks) if blocks else text


def _tidy_block(label: str, body: str) -> str:
    if ":" not in body:  # the older encrypted form has header lines, which stay as they are
        plain = "".join(body.split())
        body = "\n" + "\n".join(plain[at : at + 64] for at in range(0, len(plain), 64)) + "\n"
    return f"-----BEGIN {label}-----{body}-----END {label}-----\n"


def _choose(algorithm: str, fitting: tuple[str, ...], what: str) -> str:
    if algorithm and algorithm not in fitting:
        names = ", ".join(fitting) or "nothing known here"
        raise UnusableKey(
            f"The algorithm {algorithm} does not fit {what}, which signs with {names}", "algorithm"
        )
    if not fitting:
        raise UnusableKey(f"Nothing can be signed with {what}")
    return algorithm or fitting[0]


@lru_cache(maxsize=16)  # an RSA key takes milliseconds to check
def _load(material: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as in sign()
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as in sign()
        load_pem_private_key,
    )

    # No cause is chained: it could quote the key.
    try:
        return load_pem_private_key(material, passphrase)
    except TypeError:
        needed = "needs a passphrase" if passphrase is None else "takes no passphrase"
        raise UnusableKey(f"The private key {needed}", "passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        about = "passphrase" if passphrase else "key"
        hint = ", or its passphrase is wrong" if passphrase else ""
        raise UnusableKey(f"The private key is not a PEM private key{hint}", about) from None


def _kind(key: PrivateKeyTypes) -> str:
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - as in sign()
        ec,
        ed448,
        ed25519,
        rsa,
    )

    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise UnusableKey(
                f"The RSA key has {key.key_size} bits; {_LEAST_RSA_BITS} is the least (RFC 7518 §3.3)"
            )
        return "RSA"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curves = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return f"EC {curves.get(key.curve.name, key.curve.name)}"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "Ed25519"
    return "Ed448" if isinstance(key, ed448.Ed448PrivateKey) else type(key).__name__


def _thumbprint(material: bytes, key: PrivateKeyTypes) -> str:
    """``x5t#S256`` of the certificate in the same PEM text; empty without one."""
    if b"-----BEGIN CERTIFICATE-----" not in material:
        return ""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as in sign()
        Encoding,
        PublicFormat,
    )
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - as in sign()

    try:
        certificate = load_pem_x509_certificate(material)
    except ValueError:
        raise UnusableKey("The certificate beside the private key cannot be read") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise UnusableKey("The certificate beside the private key belongs to another key")
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
