"""Key pairs and certificates in the forms that files hold them."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = Any  # cryptography's union of key classes names kinds that no test uses


def pem_of(key: PrivateKey, passphrase: bytes | None = None, *, legacy: bool = False) -> str:
    """The private key as PKCS #8, or in OpenSSL's older form."""
    form = serialization.PrivateFormat
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    kind = form.TraditionalOpenSSL if legacy else form.PKCS8
    raw: bytes = key.private_bytes(serialization.Encoding.PEM, kind, encryption)
    return raw.decode()


def public_pem_of(key: PrivateKey) -> bytes:
    """The public half."""
    raw: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw


def certificate_of(key: PrivateKey, name: str = "client") -> bytes:
    """A self-signed certificate of ``key`` in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def new_key() -> PrivateKey:
    """A quick one."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(bits: int = 2048) -> PrivateKey:
    """The same for all tests of a process: a new one takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)
