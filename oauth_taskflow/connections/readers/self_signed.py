"""Reads connections with ``auth_type`` self_signed_jwt: a JWT that is signed here and sent as the token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers.client import read_private_key, read_shared_key
from oauth_taskflow.connections.readers.token_location import read_token_place
from oauth_taskflow.connections.settings import SelfSignedSettings
from oauth_taskflow.oauth.self_signed import SelfSignedJwt
from oauth_taskflow.oauth.signing import SigningKey

_LIFETIME = 600.0
_LONGEST = 86400.0
_DIGEST = "public_key_sha256"
_PLACE = re.compile(r"\{(login|" + _DIGEST + r")\}")
_OURS = frozenset({"alg", "kid"})


def read_self_signed(parts: ConnectionParts) -> SelfSignedSettings:
    """Returns the settings of a JWT that is signed here.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    values = parts.values
    key = _read_key(parts)
    lifetime = values.get("jwt_lifetime", _LIFETIME)
    if not 1 <= lifetime <= _LONGEST:
        raise parts.error(
            "The lifetime is out of range", "jwt_lifetime", "Write seconds, from 1 to 86400."
        )
    jwt = SelfSignedJwt(key, _read_claims(parts, key), _read_headers(parts), lifetime)
    return SelfSignedSettings(jwt, read_token_place(parts), values.get("leeway", 60.0))


def _read_key(parts: ConnectionParts) -> SigningKey:
    key = read_private_key(parts)
    if key is None and parts.password:
        return read_shared_key(parts, parts.password)
    if key is None:
        raise parts.error(
            "The key that signs is missing",
            "private_key",
            "Put its PEM text there, or its path into private_key_file; a shared secret (HS256) goes into password.",
        )
    if parts.password and not parts.sends_password:
        raise parts.error(
            "A password is given, and the private key signs", "password", "Keep one of them."
        )
    return key


def _read_claims(parts: ConnectionParts, key: SigningKey) -> Mapping[str, Any]:
    claims = {"iss": parts.login or None, **parts.values.get("jwt_claims", {})}
    filled: Mapping[str, Any] = _fill(parts, key, claims)
    for name in ("exp", "iat"):
        if name in filled and filled[name] is not None:
            raise parts.error(
                f"jwt_claims fixes {name}, which is new in every token",
                "jwt_claims",
                "Remove it, or write null to leave it out; jwt_lifetime says how long a token lives.",
            )
    return filled


def _fill(parts: ConnectionParts, key: SigningKey, value: Any) -> Any:
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _value(parts, key, place[1]), value)
    if isinstance(value, Mapping):
        return {name: _fill(parts, key, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_fill(parts, key, item) for item in value]
    return value


def _value(parts: ConnectionParts, key: SigningKey, place: str) -> str:
    if place == _DIGEST:
        if key.algorithm.startswith("HS"):
            raise parts.error(
                "jwt_claims names the public key, and a shared secret has none",
                "jwt_claims",
                f"Leave {{{_DIGEST}}} out, or give a private_key.",
            )
        return key.public_key_sha256()
    if not parts.login:
        raise parts.error("jwt_claims needs the login", "login", "Fill it.")
    return parts.login


def _read_headers(parts: ConnectionParts) -> Mapping[str, str]:
    headers: Mapping[str, str] = parts.values.get("jwt_headers", {})
    if own := sorted(_OURS & headers.keys()):
        meant = {"alg": "algorithm", "kid": "key_id"}[own[0]]
        raise parts.error(
            f"jwt_headers has {own[0]!r}, which another key says",
            "jwt_headers",
            f"Write {meant} instead.",
        )
    return headers
