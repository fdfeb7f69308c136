"""Checks a draft where it is typed, on the API server, which does not have the files of the machines that run tasks."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from oauth_taskflow.connections.convert import is_given
from oauth_taskflow.connections.parse import AirflowConnection, parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.secret_values import Hidden, SecretValue

# Belong to the file's key, which is not there to be compared with them.
_ABOUT_THE_FILE = ("private_key_file", "private_key_passphrase")


class _WithoutFiles(SecretValue, frozen=True):
    """A connection whose private key is not read from a file: ``extra`` has another key instead."""

    conn_id: str
    conn_type: str | None
    host: str | None
    schema: str | None
    login: str | None
    password: Hidden[str | None]
    port: int | None
    extra: Hidden[str | None]


def parse_without_files(
    connection: AirflowConnection, own: Path | None = None
) -> ConnectionSettings:
    """Returns the settings of ``connection`` without opening a file that it names; nothing is announced as a secret.

    A key that signs stands in for the one in ``private_key_file``: an author who may store connections must neither learn
    which files the API server has, nor make it wait for one.

    Raises:
        ConnectionConfigError: as ``parse_connection`` does.
    """
    return parse_connection(_replace_key_file(connection), presets_folder=own, announce=False)


def _replace_key_file(connection: AirflowConnection) -> AirflowConnection:
    extra = _read_extra(connection.extra)
    if not is_given(extra.get("private_key_file")) or is_given(extra.get("private_key")):
        return connection
    algorithm = str(extra.get("algorithm") or "RS256").strip()
    left = {name: value for name, value in extra.items() if name not in _ABOUT_THE_FILE}
    return _WithoutFiles(
        connection.conn_id,
        connection.conn_type,
        connection.host,
        connection.schema,
        connection.login,
        connection.password,
        connection.port,
        json.dumps({**left, "private_key": _make_key(algorithm)}),
    )


def _read_extra(text: str | None) -> dict[str, Any]:
    try:
        extra = json.loads(text) if text else {}
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}


@lru_cache(maxsize=8)
def _make_key(algorithm: str) -> str:
    """Returns the PEM text of a new key for the algorithm: it signs nothing and is never stored."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only for files
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    curves: dict[str, type[ec.EllipticCurve]] = {
        "ES256": ec.SECP256R1,
        "ES384": ec.SECP384R1,
        "ES512": ec.SECP521R1,
    }
    key: Any
    if algorithm in curves:
        key = ec.generate_private_key(curves[algorithm]())
    elif algorithm == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(  # type: ignore[no-any-return]  # three classes with one method
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
