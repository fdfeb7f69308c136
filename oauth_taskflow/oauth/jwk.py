"""Private keys as JSON Web Keys (RFC 7517), which authorization servers hand out. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

_KINDS = frozenset({"RSA", "EC", "OKP"})


class BadJwk(Exception):
    """The text is not a private JWK; the message says why and never shows the key."""


class PrivateJwk(NamedTuple):
    """A private key in PEM, with the ``kid`` and ``alg`` that its JWK names; empty where it names none."""

    pem: str
    key_id: str = ""
    algorithm: str = ""


def is_jwk(text: str) -> bool:
    """Whether ``text`` is JSON and not PEM."""
    return text.lstrip().startswith("{")


def private_jwk(text: str) -> PrivateJwk:
    """The private key in ``text``.

    Raises:
        BadJwk: the text contains no usable private key.
    """
    fields = _fields(text)
    if str(fields.get("kty")) not in _KINDS:
        raise BadJwk("The JSON is not a JSON Web Key that can sign: kty is not RSA, EC or OKP")
    if not fields.get("d"):
        raise BadJwk("The JSON Web Key is a public one: it has no d")
    named = [fields.get(name) for name in ("kid", "alg")]
    return PrivateJwk(_pem(fields), *(one if isinstance(one, str) else "" for one in named))


def _fields(text: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadJwk("The private key is neither PEM nor the JSON of a key")
    return fields


def _pem(fields: Mapping[str, Any]) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only signing needs it
    from jwt import PyJWK  # noqa: PLC0415 - as above
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - as above

    # alg is left out: it is compared with the chosen algorithm elsewhere. No cause is chained: it could quote the key.
    try:
        key = PyJWK({name: value for name, value in fields.items() if name != "alg"}).key
        raw: bytes = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    except (PyJWTError, ValueError, TypeError, KeyError):
        raise BadJwk("The JSON Web Key cannot be read") from None
    return raw.decode()
