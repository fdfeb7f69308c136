"""Checks the certificate files of a connection before TLS uses them.

OpenSSL asks the terminal for the passphrase of an encrypted key, and ``requests`` reports a damaged file as a server that
cannot be reached. ``requests`` also finds a missing file only with the first call, without naming its connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from oauth_taskflow.errors import ConnectionConfigError


@contextmanager
def usable_file(field: str, conn_id: str) -> Iterator[None]:
    """A context that blames ``field`` of the connection for every operating system and TLS error inside it.

    Raises:
        ConnectionConfigError: there was an error. The path is not repeated: a user may have put the key itself there.
    """
    try:
        yield
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise ConnectionConfigError(
            f"A certificate file cannot be used: {why}",
            conn_id=conn_id,
            field=field,
            hint="It must be on every worker, readable for Airflow, and PEM.",
        ) from None


def check_files_exist(verify: bool | str, cert: str | tuple[str, str] | None, conn_id: str) -> None:  # noqa: FBT001 - that of requests
    """Check that every file named by ``verify`` and ``cert`` is present.

    Raises:
        ConnectionConfigError: one is missing.
    """
    certs = cert if isinstance(cert, tuple) else (cert,)
    for field, path in (("verify", verify), *(("cert", one) for one in certs)):
        if isinstance(path, str):
            with usable_file(field, conn_id):
                Path(path).stat()


def check_certificate(cert: str | tuple[str, str] | None, url: str, conn_id: str) -> None:
    """Check that ``cert`` can be presented to ``url``; plain http never reads it.

    Raises:
        ConnectionConfigError: a file is missing or damaged, its key is encrypted, or belongs to another certificate.
    """
    if cert is None or not url.startswith("https:"):
        return
    file, key = (cert, None) if isinstance(cert, str) else cert
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file, key, password=_refuse)
    except (_EncryptedError, OSError) as failure:
        # Not chained: no part of the key may be quoted.
        raise ConnectionConfigError(
            f"The client certificate cannot be used ({_reason(failure)})",
            conn_id=conn_id,
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
