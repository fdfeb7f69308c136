"""Proof Key for Code Exchange (RFC 7636), S256 only: there is no way to ask for ``plain``."""

from __future__ import annotations

import base64
import hashlib
import secrets

from oauth_taskflow.secret_values import Hidden, SecretValue

_RANDOM_BYTES = 48  # 64 characters; RFC 7636 §4.1 wants 43 to 128


class Verifier(SecretValue, frozen=True):
    """The secret of one login attempt; only its hash goes through the browser."""

    value: Hidden[str]

    @classmethod
    def new(cls) -> Verifier:
        """A verifier that nobody had before, from the system's random source."""
        return cls(secrets.token_urlsafe(_RANDOM_BYTES))

    @property
    def challenge(self) -> str:
        """BASE64URL(SHA256(verifier)) without padding (RFC 7636 §4.2)."""
        digest = hashlib.sha256(self.value.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
