"""Whether a connection's client certificate can be used, before TLS finds out in its own way.

OpenSSL asks the terminal for the passphrase of an encrypted key, and ``requests`` takes a damaged file for a server that
cannot be reached.
"""

from __future__ import annotations

import ssl
from typing import NoReturn

from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import ConnectionConfigError


def check_certificate(settings: ConnectionSettings, url: str) -> None:
    """Refuse a ``cert`` that cannot be shown to ``url``; over plain http nobody reads it.

    Raises:
        ConnectionConfigError: a file is missing or damaged, its key is encrypted, or belongs to another certificate.
    """
    if settings.cert is None or not url.startswith("https:"):
        return
    cert, key = (settings.cert, None) if isinstance(settings.cert, str) else settings.cert
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=_refuse)
    except (_EncryptedError, OSError) as failure:
        # Not chained: nothing of the key may be quoted.
        raise ConnectionConfigError(
            f"The client certificate cannot be used ({_reason(failure)})",
            conn_id=settings.conn_id,
            field="cert",
            hint="It is a PEM file with the certificate and its unencrypted key, or one file for each, on every worker.",
        ) from None


class _EncryptedError(Exception):
    """The key needs a passphrase."""


def _refuse() -> NoReturn:
    raise _EncryptedError


def _reason(failure: Exception) -> str:
    if isinstance(failure, _EncryptedError):
        return "its key is encrypted"
    if getattr(failure, "reason", "") == "KEY_VALUES_MISMATCH":
        return "the key belongs to another one"
    if isinstance(failure, ssl.SSLError):
        return "no PEM certificate with its key"
    return type(failure).__name__
