"""Reads how a connection's client authenticates: method, key and audience of its assertions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.credential_files import FileCredential, read_text
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers.grant import grant_reader
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS, Need, methods_that_need
from oauth_taskflow.oauth.credential_source import CredentialSource
from oauth_taskflow.oauth.endpoint.server_metadata import is_issuer
from oauth_taskflow.oauth.signing import Signer, SigningKey, UnusableKey, private_key, shared_key

_NO_MEANS = ("client_secret_basic",)
_ABOUT_KEYS = ("private_key_passphrase", "key_id", "algorithm", "assertion_audience")
_FIELD_OF = {"passphrase": "private_key_passphrase", "algorithm": "algorithm"}


class ClientSettings(Struct, frozen=True):
    """The client's method and credentials. ``chosen``: the connection names the method, or leaves no choice."""

    method: str
    chosen: bool
    signer: Signer | None = None
    assertion: CredentialSource | None = None


# Replaces credentials that cannot be read; it is never used in a request.
NO_CLIENT = ClientSettings("none", chosen=True)


def read_client(parts: ConnectionParts, grant: str, secret: str) -> ClientSettings:
    """Returns the checked method and credentials of the client.

    Raises:
        ConnectionConfigError: the method lacks a credential, or one that is given would not be used.
    """
    key = read_private_key(parts)
    given = str(parts.values.get("client_auth", ""))
    method = given or _choose_method(parts, grant, secret, key)
    _check(parts, grant, secret, method)
    if method == "client_secret_jwt":
        key = read_shared_key(parts, secret)
    elif key and _need(method) != "private_key" and not grant_reader(grant).signs:
        raise parts.error(
            f"A private key is given, and client_auth {method} would not use it",
            "client_auth",
            "Set client_auth to private_key_jwt, or remove the key.",
        )
    signer = Signer(key, _audience(parts, grant, method)) if key else None
    if signer is None:
        _reject_stray(parts, _ABOUT_KEYS)
    chosen = bool(given) or method == "unauthenticated" or _need(method) == "assertion"
    return ClientSettings(method, chosen, signer, _read_assertion_file(parts, method))


def _read_assertion_file(parts: ConnectionParts, method: str) -> CredentialSource | None:
    name = "client_assertion_file"
    if (name in parts.values) == (_need(method) == "assertion"):
        path = parts.values.get(name)
        return FileCredential(str(path), parts.conn_id, name) if path else None
    if name in parts.values:
        raise parts.error(
            f"A client assertion is given, and client_auth {method} would not use it",
            "client_auth",
            "Set client_auth to client_assertion, or remove the file.",
        )
    raise parts.error(
        f"The client assertion is missing, and client_auth is {method}",
        name,
        "Put the path of the JWT there.",
    )


def read_issuer(values: Mapping[str, object], parts: ConnectionParts) -> str:
    """Returns the issuer; empty without one."""
    issuer = str(values.get("issuer", ""))
    if issuer and not is_issuer(issuer):
        raise parts.error(
            "The issuer is not an https URL",
            "issuer",
            "Write it exactly as the server does, as in https://id.example.com; plain http is accepted for 127.0.0.1 "
            "and [::1].",
        )
    return issuer


def _choose_method(parts: ConnectionParts, grant: str, secret: str, key: SigningKey | None) -> str:
    """Returns the first method of the provider for which the connection has the credentials, else the default."""
    able = _usable_methods(parts, grant, secret, key)
    listed = parts.preset.client_auth
    # If no method fits, the error is about the provider's first.
    fallback = listed[0] if secret or able == _NO_MEANS else able[0]
    return next((method for method in listed if method in able), fallback)


def _usable_methods(
    parts: ConnectionParts, grant: str, secret: str, key: SigningKey | None
) -> tuple[str, ...]:
    if secret:
        # A secret that signs needs a minimum length: only the connection itself chooses such a method.
        names = methods_that_need("secret")
        return tuple(name for name in names if not CLIENT_AUTH_METHODS[name].signs)
    if "client_assertion_file" in parts.values:
        return methods_that_need("assertion")
    if key and not grant_reader(grant).signs:
        return methods_that_need("private_key")
    if grant_reader(grant).shows_credential:
        # The grant's credential is sufficient (RFC 7521 §4.1); an assertion that is signed here contains the client's id.
        return ("none",) if _has_client_id(parts) and not key else ("unauthenticated",)
    by_certificate = "cert" in parts.values and "issuer" in parts.values
    return methods_that_need("certificate") if by_certificate else _NO_MEANS


def _need(method: str) -> Need:
    return CLIENT_AUTH_METHODS[method].needs


def _has_client_id(parts: ConnectionParts) -> bool:
    return bool(parts.login or parts.values.get("client_id"))


def _check(parts: ConnectionParts, grant: str, secret: str, method: str) -> None:
    if _need(method) == "secret":
        if not secret:
            raise parts.error(
                f"The client secret is missing, and client_auth is {method}",
                "password",
                "Put the client secret there, or set client_auth to none for a public client.",
            )
        return
    if secret:
        raise parts.error(
            f"A client secret is given, and client_auth {method} would not send it",
            "client_auth",
            "Remove the secret, or use client_secret_basic or client_secret_post.",
        )
    if grant == "client_credentials" and not CLIENT_AUTH_METHODS[method].proves_client:
        raise parts.error(
            "The client_credentials grant needs a client secret (RFC 6749 §4.4)",
            "client_auth",
            "Use client_secret_basic or client_secret_post, and put the secret into password.",
        )
    if _need(method) == "private_key" and not {"private_key", "private_key_file"} & set(
        parts.values
    ):
        raise parts.error(
            f"The private key is missing, and client_auth is {method}",
            "private_key",
            "Put the PEM text there, or its path into private_key_file.",
        )
    if _need(method) == "certificate" and "cert" not in parts.values:
        raise parts.error(
            f"The client certificate is missing, and client_auth is {method}",
            "cert",
            "Put the path of a PEM file with certificate and key there.",
        )


def read_private_key(parts: ConnectionParts) -> SigningKey | None:
    """Returns the private key of the connection; None without one.

    Raises:
        ConnectionConfigError: it is given twice, cannot be read, or does not fit its algorithm.
    """
    values = parts.values
    name = "private_key_file" if "private_key_file" in values else "private_key"
    if name not in values:
        return None
    if {"private_key", "private_key_file"} <= set(values):
        raise parts.error("The private key is given twice", "private_key_file", "Keep one of them.")
    pem = str(values[name])
    if name == "private_key_file":
        pem = read_text(pem, parts.conn_id, name)
        secret_registry.add([pem])
    try:
        return private_key(
            pem,
            algorithm=values.get("algorithm", ""),
            key_id=values.get("key_id", ""),
            passphrase=values.get("private_key_passphrase", ""),
        )
    except UnusableKey as problem:
        raise parts.error(
            str(problem),
            _FIELD_OF.get(problem.about, name),
            "It must be an unbroken PEM private key, or a JSON Web Key.",
        ) from None


def read_shared_key(parts: ConnectionParts, secret: str) -> SigningKey:
    """Returns ``secret`` as a key that signs.

    Raises:
        ConnectionConfigError: it is too short for its algorithm, or a private key is given too.
    """
    if {"private_key", "private_key_file"} & set(parts.values):
        raise parts.error(
            "A private key is given, and client_auth client_secret_jwt would not use it",
            "client_auth",
            "Set client_auth to private_key_jwt, or remove the key.",
        )
    values = parts.values
    try:
        return shared_key(
            secret, algorithm=values.get("algorithm", ""), key_id=values.get("key_id", "")
        )
    except UnusableKey as problem:
        name = "algorithm" if problem.about == "algorithm" else "password"
        raise parts.error(str(problem), name, "Use client_secret_basic instead.") from None


def _audience(parts: ConnectionParts, grant: str, method: str) -> str:
    """Returns the ``aud`` to sign. Empty: the token endpoint, once it is known, or without ``aud`` in a header."""
    values = parts.values
    usual = "" if method == "private_key_jwt_header" else "token_url"
    if grant_reader(grant).signs:
        usual = parts.preset.assertion_audience or usual
    named = str(values.get("assertion_audience", usual))
    if named == "issuer" and not values.get("issuer"):
        raise parts.error(
            "The audience is the issuer, and the connection has no issuer",
            "assertion_audience",
            "Add issuer to extra.",
        )
    known = {"token_url": values.get("token_url", ""), "issuer": values.get("issuer", "")}
    return str(known.get(named, named))


def _reject_stray(parts: ConnectionParts, names: tuple[str, ...]) -> None:
    for name in names:
        if name in parts.values:
            parts.blame(
                f"{name} belongs to a private key, and the connection has none",
                name,
                "Remove it, or add private_key or private_key_file.",
            )
