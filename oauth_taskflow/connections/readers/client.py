"""How a connection's client proves who it is: method, key and audience of what it signs."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.credential_files import TextFile, read_text
from oauth_taskflow.connections.parts import Fields
from oauth_taskflow.connections.readers.grant import grant_reader
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS, Need, methods_that_need
from oauth_taskflow.oauth.credential_source import TextSource
from oauth_taskflow.oauth.endpoint.server_metadata import is_issuer
from oauth_taskflow.oauth.signing import Signer, SigningKey, UnusableKey, private_key, shared_key

_NO_MEANS = ("client_secret_basic",)
_ABOUT_KEYS = ("private_key_passphrase", "key_id", "algorithm", "assertion_audience")
_FIELD_OF = {"passphrase": "private_key_passphrase", "algorithm": "algorithm"}


class ClientSettings(Struct, frozen=True):
    """The client's means. ``chosen`` says that the connection named the method itself, or leaves no choice."""

    method: str
    chosen: bool
    signer: Signer | None = None
    assertion: TextSource | None = None


# Stands in for means that cannot be read; no request is ever made with it.
NO_CLIENT = ClientSettings("none", chosen=True)


def read_client(fields: Fields, grant: str, secret: str) -> ClientSettings:
    """The checked means of the client of ``fields``.

    Raises:
        ConnectionConfigError: the method lacks what it needs, or something given would not be used.
    """
    key = _private_key(fields)
    given = str(fields.values.get("client_auth", ""))
    method = given or _implied(fields, grant, secret, key)
    _check(fields, grant, secret, method)
    if method == "client_secret_jwt":
        key = _shared_key(fields, secret)
    elif key and _need(method) != "private_key" and not grant_reader(grant).signs:
        raise fields.error(
            f"A private key is given, and client_auth {method} would not use it",
            "client_auth",
            "Set client_auth to private_key_jwt, or remove the key.",
        )
    signer = Signer(key, _audience(fields, grant, method)) if key else None
    if signer is None:
        _refuse_stray(fields, _ABOUT_KEYS)
    chosen = bool(given) or method == "unauthenticated" or _need(method) == "assertion"
    return ClientSettings(method, chosen, signer, _given_assertion(fields, method))


def _given_assertion(fields: Fields, method: str) -> TextSource | None:
    name = "client_assertion_file"
    if (name in fields.values) == (_need(method) == "assertion"):
        path = fields.values.get(name)
        return TextFile(str(path), fields.conn_id, name) if path else None
    if name in fields.values:
        raise fields.error(
            f"A client assertion is given, and client_auth {method} would not use it",
            "client_auth",
            "Set client_auth to client_assertion, or remove the file.",
        )
    raise fields.error(
        f"The client assertion is missing, and client_auth is {method}",
        name,
        "Put the path of the JWT there.",
    )


def read_issuer(values: Mapping[str, object], fields: Fields) -> str:
    """The issuer; empty without one."""
    issuer = str(values.get("issuer", ""))
    if issuer and not is_issuer(issuer):
        raise fields.error(
            "The issuer is not an https URL",
            "issuer",
            "Write it exactly as the server does, as in https://id.example.com; plain http is accepted for 127.0.0.1 "
            "and [::1].",
        )
    return issuer


def _implied(fields: Fields, grant: str, secret: str, key: SigningKey | None) -> str:
    """The first method of the provider that the connection has the means for, else the usual one."""
    able = _able(fields, grant, secret, key)
    listed = fields.preset.client_auth
    # Where nothing fits, the complaint is about what the provider wants.
    fallback = listed[0] if secret or able == _NO_MEANS else able[0]
    return next((method for method in listed if method in able), fallback)


def _able(fields: Fields, grant: str, secret: str, key: SigningKey | None) -> tuple[str, ...]:
    if secret:
        # A secret that signs must have a length of its own: only the connection itself chooses that.
        names = methods_that_need("secret")
        return tuple(name for name in names if not CLIENT_AUTH_METHODS[name].signs)
    if "client_assertion_file" in fields.values:
        return methods_that_need("assertion")
    if key and not grant_reader(grant).signs:
        return methods_that_need("private_key")
    if grant_reader(grant).shows_credential:
        # What is shown speaks for itself (RFC 7521 §4.1), an assertion that is signed here with the client's id in it.
        return ("none",) if _names_client(fields) and not key else ("unauthenticated",)
    by_certificate = "cert" in fields.values and "issuer" in fields.values
    return methods_that_need("certificate") if by_certificate else _NO_MEANS


def _need(method: str) -> Need:
    return CLIENT_AUTH_METHODS[method].needs


def _names_client(fields: Fields) -> bool:
    return bool(fields.login or fields.values.get("client_id"))


def _check(fields: Fields, grant: str, secret: str, method: str) -> None:
    if _need(method) == "secret":
        if not secret:
            raise fields.error(
                f"The client secret is missing, and client_auth is {method}",
                "password",
                "Put the client secret there, or set client_auth to none for a public client.",
            )
        return
    if secret:
        raise fields.error(
            f"A client secret is given, and client_auth {method} would not send it",
            "client_auth",
            "Remove the secret, or use client_secret_basic or client_secret_post.",
        )
    if grant == "client_credentials" and not CLIENT_AUTH_METHODS[method].proves_client:
        raise fields.error(
            "The client_credentials grant needs a client secret (RFC 6749 §4.4)",
            "client_auth",
            "Use client_secret_basic or client_secret_post, and put the secret into password.",
        )
    if _need(method) == "private_key" and not {"private_key", "private_key_file"} & set(
        fields.values
    ):
        raise fields.error(
            f"The private key is missing, and client_auth is {method}",
            "private_key",
            "Put the PEM text there, or its path into private_key_file.",
        )
    if _need(method) == "certificate" and "cert" not in fields.values:
        raise fields.error(
            f"The client certificate is missing, and client_auth is {method}",
            "cert",
            "Put the path of a PEM file with certificate and key there.",
        )


def _private_key(fields: Fields) -> SigningKey | None:
    values = fields.values
    name = "private_key_file" if "private_key_file" in values else "private_key"
    if name not in values:
        return None
    if {"private_key", "private_key_file"} <= set(values):
        raise fields.error(
            "The private key is given twice", "private_key_file", "Keep one of them."
        )
    pem = str(values[name])
    if name == "private_key_file":
        pem = read_text(pem, fields.conn_id, name)
        secret_registry.add([pem])
    try:
        return private_key(
            pem,
            algorithm=values.get("algorithm", ""),
            key_id=values.get("key_id", ""),
            passphrase=values.get("private_key_passphrase", ""),
        )
    except UnusableKey as problem:
        raise fields.error(
            str(problem),
            _FIELD_OF.get(problem.about, name),
            "It must be an unbroken PEM private key, or a JSON Web Key.",
        ) from None


def _shared_key(fields: Fields, secret: str) -> SigningKey:
    if {"private_key", "private_key_file"} & set(fields.values):
        raise fields.error(
            "A private key is given, and client_auth client_secret_jwt would not use it",
            "client_auth",
            "Set client_auth to private_key_jwt, or remove the key.",
        )
    values = fields.values
    try:
        return shared_key(
            secret, algorithm=values.get("algorithm", ""), key_id=values.get("key_id", "")
        )
    except UnusableKey as problem:
        name = "algorithm" if problem.about == "algorithm" else "password"
        raise fields.error(str(problem), name, "Use client_secret_basic instead.") from None


def _audience(fields: Fields, grant: str, method: str) -> str:
    """The ``aud`` that is signed; empty: the token endpoint, once it is known, or none in a header."""
    values = fields.values
    usual = "" if method == "private_key_jwt_header" else "token_url"
    if grant_reader(grant).signs:
        usual = fields.preset.assertion_audience or usual
    named = str(values.get("assertion_audience", usual))
    if named == "issuer" and not values.get("issuer"):
        raise fields.error(
            "The audience is the issuer, and the connection has no issuer",
            "assertion_audience",
            "Add issuer to extra.",
        )
    known = {"token_url": values.get("token_url", ""), "issuer": values.get("issuer", "")}
    return str(known.get(named, named))


def _refuse_stray(fields: Fields, names: tuple[str, ...]) -> None:
    for name in names:
        if name in fields.values:
            fields.blame(
                f"{name} belongs to a private key, and the connection has none",
                name,
                "Remove it, or add private_key or private_key_file.",
            )
