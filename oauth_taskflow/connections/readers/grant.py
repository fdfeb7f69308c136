"""What a connection's grant shows besides the client: a signed subject, an assertion, tokens, a user's password."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from oauth_taskflow.connections.credential_files import TextFile
from oauth_taskflow.connections.parts import Fields
from oauth_taskflow.oauth.credential_source import GivenText, TextSource
from oauth_taskflow.oauth.extension_grants import (
    ACCESS_TOKEN_TYPE,
    JWT_BEARER,
    SAML2_BEARER,
    TOKEN_EXCHANGE,
    DelegatedGrant,
    GivenAssertion,
    JwtBearer,
    NamedGrant,
    Password,
    PresentedToken,
    TokenExchange,
)
from oauth_taskflow.oauth.signing import Signer

log = logging.getLogger(__name__)

_OWN_FIELDS = {
    "subject": {JWT_BEARER},
    "assertion_claims": {JWT_BEARER},
    "assertion": {JWT_BEARER, SAML2_BEARER},
    "assertion_file": {JWT_BEARER, SAML2_BEARER},
    "subject_token": {TOKEN_EXCHANGE},
    "subject_token_file": {TOKEN_EXCHANGE},
    "subject_token_type": {TOKEN_EXCHANGE},
    "actor_token": {TOKEN_EXCHANGE},
    "actor_token_file": {TOKEN_EXCHANGE},
    "actor_token_type": {TOKEN_EXCHANGE},
    "requested_token_type": {TOKEN_EXCHANGE},
    "username": {"password"},
    "user_password": {"password"},
}
_warned: set[str] = set()


def read_delegated(
    fields: Fields, grant: str, client_id: str, signer: Signer | None
) -> DelegatedGrant | NamedGrant | None:
    """What the grant of ``fields`` shows, without its options; None for grants of the client's own.

    Raises:
        ConnectionConfigError: something is missing, or given for another grant.
    """
    _refuse_foreign(fields, grant)
    if grant in {"client_credentials", "refresh_token"}:
        return None
    if grant in {JWT_BEARER, SAML2_BEARER}:
        return _assertion(fields, grant, client_id, signer)
    if grant == TOKEN_EXCHANGE:
        return _exchange(fields)
    return _password(fields) if grant == "password" else NamedGrant(grant)


def read_resources(fields: Fields) -> tuple[str, ...]:
    """The resource indicators, each an absolute URI without fragment (RFC 8707 §2)."""
    resources: tuple[str, ...] = fields.values.get("resource", ())
    for resource in resources:
        if not _is_absolute(resource):
            raise fields.error(
                "A resource is not an absolute URI without fragment (RFC 8707 §2)",
                "resource",
                "Write it as in https://api.example.com; a server that wants something else gets it by token_params.",
            )
    return resources


def _is_absolute(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and "#" not in text


def _refuse_foreign(fields: Fields, grant: str) -> None:
    for name, grants in _OWN_FIELDS.items():
        if name in fields.values and grant not in grants:
            fields.blame(
                f"This field has no effect with grant_type {grant}",
                name,
                f"Leave it out, or set grant_type to {' or '.join(sorted(grants))}.",
            )


def _assertion(fields: Fields, grant: str, client_id: str, signer: Signer | None) -> DelegatedGrant:
    source = _source(fields, "assertion")
    if source is not None:
        for name in ("subject", "assertion_claims"):
            if name in fields.values:
                raise fields.error(
                    f"{name} cannot be put into an assertion that is given",
                    name,
                    "Remove it, or sign here with private_key.",
                )
        return GivenAssertion(grant, source)
    if grant == SAML2_BEARER or signer is None:
        key = "" if grant == SAML2_BEARER else ", or private_key to sign it here"
        raise fields.error(
            "The assertion is missing", "assertion", f"Add assertion or assertion_file{key}."
        )
    rules = fields.preset.request
    subject = str(fields.values.get("subject", "" if rules.subject_if_named else client_id))
    claims = fields.values.get("assertion_claims", {})
    return JwtBearer(signer, client_id, subject, claims, asserts_scope=rules.scope_in_assertion)


def _exchange(fields: Fields) -> TokenExchange:
    subject = _presented(fields, "subject_token")
    if subject is None:
        raise fields.error(
            "The subject token is missing",
            "subject_token",
            "Add subject_token, or subject_token_file for one that is renewed in a file.",
        )
    actor = _presented(fields, "actor_token")
    return TokenExchange(subject, actor, str(fields.values.get("requested_token_type", "")))


def _presented(fields: Fields, name: str) -> PresentedToken | None:
    source = _source(fields, name)
    kind = f"{name}_type"
    if source is None:
        if kind in fields.values:
            raise fields.error("The token it describes is missing", kind, f"Add {name}.")
        return None
    return PresentedToken(source, str(fields.values.get(kind, ACCESS_TOKEN_TYPE)))


def _source(fields: Fields, name: str) -> TextSource | None:
    file = f"{name}_file"
    if name in fields.values and file in fields.values:
        raise fields.error(f"{name} is given twice", file, f"Keep one of {name} and {file}.")
    if file in fields.values:
        return TextFile(str(fields.values[file]), fields.conn_id, file)
    return GivenText(str(fields.values[name])) if name in fields.values else None


def _password(fields: Fields) -> Password:
    for name in ("username", "user_password"):
        if name not in fields.values:
            raise fields.error(
                f"The password grant needs {name}", name, "Add username and user_password to extra."
            )
    if fields.conn_id not in _warned:
        _warned.add(fields.conn_id)
        log.warning(
            "Connection %r uses the password grant, which RFC 9700 §2.4 forbids: it hands a user's password to every "
            "worker. Use client_credentials or refresh_token where the server knows them.",
            fields.conn_id,
        )
    return Password(str(fields.values["username"]), str(fields.values["user_password"]))
