"""Encrypts the content of the store. It takes several keys, newest first, so that keys rotate without downtime."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from oauth_taskflow.secret_values import NeverPickled

_OTHER_KEY = (
    "First make sure that [core] fernet_key is the same here as on the machines whose tasks succeed: the grant may be alive "
    "for them. After a rotation of the key, put the old one back at the end. Only when no machine has the key any more, "
    "authorize the connection again: airflow oauth login CONN_ID."
)
_OTHER_ROW = (
    "It was copied, or put back from an older copy of the table. Restore the row as it was, or authorize the "
    "connection again: airflow oauth login CONN_ID."
)


class TokenCipher(NeverPickled):
    """A ring of Fernet keys: the first one encrypts, and any of them decrypts.

    Each ciphertext states inside itself which row and version it belongs to. One that was moved to another row, or put
    back from an older version, is refused.

    Raises:
        TokenStoreError: a key is missing, or is not a Fernet key.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        if not keys:
            raise TokenStoreError(
                "No encryption key for the token store",
                hint="Set [core] fernet_key; tokens are never stored in the clear.",
            )
        try:
            self._ring = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise TokenStoreError(
                "An encryption key of the token store is not a Fernet key",
                hint="A key is 32 random bytes, URL-safe base64; cryptography's Fernet.generate_key() makes one.",
            ) from None
        self._fingerprint_keys = [_fingerprint_key(key) for key in keys]

    def seal(self, content: Any, *, grant_key: str, version: int) -> str:
        """``content`` (JSON values) encrypted for that row and version only."""
        bound = json.dumps([grant_key, version, content], separators=(",", ":"))
        return self._ring.encrypt(bound.encode()).decode()

    def open(self, sealed: str, *, grant_key: str, version: int) -> Any:
        """The content that was sealed for that row and version.

        Raises:
            TokenUndecryptable: no key opens it, or it was sealed for another row or version.
        """
        try:
            key, sealed_version, content = json.loads(self._ring.decrypt(sealed.encode()))
        except (InvalidToken, ValueError):
            raise _undecryptable_error(
                "no key of the ring opens it", grant_key, _OTHER_KEY
            ) from None
        if (key, sealed_version) != (grant_key, version):
            raise _undecryptable_error(
                "it was written for another grant or version", grant_key, _OTHER_ROW
            )
        return content

    def fingerprint(self, secret: str) -> str:
        """A keyed hash of ``secret`` under the newest key: equal secrets give equal hashes, and reveal nothing."""
        return self.fingerprints(secret)[0]

    def fingerprints(self, secret: str) -> tuple[str, ...]:
        """The fingerprint of ``secret`` under each key, newest first: older ones may be stored from before a key rotation."""
        return tuple(
            hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()
            for key in self._fingerprint_keys
        )


def _fingerprint_key(key: str | bytes) -> bytes:
    raw = base64.urlsafe_b64decode(key)
    return hmac.new(raw, b"oauth_taskflow refresh token mark", hashlib.sha256).digest()


def _undecryptable_error(why: str, grant_key: str, hint: str) -> TokenUndecryptable:
    return TokenUndecryptable(
        f"The stored token cannot be read: {why}",
        where=f"in grant {grant_key[:12]}",
        hint=hint,
    )


def name_connection(failure: TokenUndecryptable, conn_id: str, store: str) -> None:
    """Name the connection and the ``store`` of the token in ``failure``, instead of the grant's key."""
    failure.where = f"for connection {conn_id!r} in {store}"
    failure.hint = failure.hint.replace("CONN_ID", conn_id)
