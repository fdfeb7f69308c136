"""Reads the grant of a connection: one table with the reader and the keys of each grant.

``register_grant`` adds a grant and the connection keys that it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from oauth_taskflow.connections.credential_files import FileCredential
from oauth_taskflow.connections.fields.field import ConnectionField
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.credential_source import CredentialSource, InlineCredential
from oauth_taskflow.oauth.extension_grants import (
    ACCESS_TOKEN_TYPE,
    JWT_BEARER,
    SAML2_BEARER,
    TOKEN_EXCHANGE,
    GivenAssertion,
    JwtBearer,
    NamedGrant,
    Password,
    PresentedToken,
    TokenExchange,
)
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.oauth.signing import Signer

log = logging.getLogger(__name__)

_warned: set[str] = set()


class GrantReader(NamedTuple):
    """How a connection describes one grant.

    ``read`` returns the grant without its options; it gets the client id and the signer of the connection's private key.
    None: the client's own grant. ``keys`` are the keys of ``extra`` that belong to it. ``shows_credential``: the grant has a
    credential, so the client need not authenticate. ``signs``: the private key signs the grant and not the client.
    """

    read: Callable[[ConnectionParts, str, Signer | None], Grant | None]
    keys: tuple[str, ...] = ()
    shows_credential: bool = True
    signs: bool = False


def grant_reader(grant: str) -> GrantReader:
    """Returns the reader of ``grant``. A grant that is not in the table is a vendor's: its name and its ``token_params``."""
    return GRANT_READERS.get(grant) or GrantReader(lambda *_: NamedGrant(grant))


def register_grant(
    name: str,
    read: Callable[[ConnectionParts, str, Signer | None], Grant],
    *,
    fields: Iterable[ConnectionField] = (),
) -> None:
    """Makes a grant available as ``grant_type: name`` in connections of this process.

    Call it in every process that reads such a connection: in the DAG file, a plugin or ``airflow_local_settings``.

    Args:
        name: the value of the parameter ``grant_type``; registering it again replaces the grant.
        read: returns the grant, usually a ``BaseGrant``, without its options. It raises ``parts.error(…)`` when
            something is missing.
        fields: keys of ``extra`` that belong to this grant alone, with the kind of their value.

    Raises:
        ValueError: the grant or one of its keys comes with the package.
    """
    own = {field.name: field for field in fields}
    taken = [key for key in own if key in BY_NAME and key not in grant_reader(name).keys]
    if name in BUILT_IN or taken:
        raise ValueError(
            f"{taken[0] if taken else name} belongs to oauth-taskflow: choose another name"
        )
    GRANT_READERS[name] = GrantReader(read, tuple(own))
    known = BY_NAME["grant_type"]
    BY_NAME.update(own)
    if name not in known.choices:
        BY_NAME["grant_type"] = replace(known, choices=(*known.choices, name))


def read_grant(
    parts: ConnectionParts, grant: str, client_id: str, signer: Signer | None
) -> Grant | None:
    """Returns the grant of ``parts`` without its options; None for the client's own grants.

    Raises:
        ConnectionConfigError: something is missing, or given for another grant.
    """
    _reject_foreign(parts, grant)
    return grant_reader(grant).read(parts, client_id, signer)


def read_resources(parts: ConnectionParts) -> tuple[str, ...]:
    """Returns the resource indicators, each an absolute URI without fragment (RFC 8707 §2)."""
    resources: tuple[str, ...] = parts.values.get("resource", ())
    for resource in resources:
        if not _is_absolute(resource):
            raise parts.error(
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


def _reject_foreign(parts: ConnectionParts, grant: str) -> None:
    own = grant_reader(grant).keys
    for name in dict.fromkeys(key for reader in GRANT_READERS.values() for key in reader.keys):
        if name in parts.values and name not in own:
            grants = sorted(one for one, reader in GRANT_READERS.items() if name in reader.keys)
            parts.blame(
                f"This field has no effect with grant_type {grant}",
                name,
                f"Leave it out, or set grant_type to {' or '.join(grants)}.",
            )


def _read_nothing(_parts: ConnectionParts, _client_id: str, _signer: Signer | None) -> None:
    """Returns None for the client's own grant, which needs no other credential."""


def _read_jwt(parts: ConnectionParts, client_id: str, signer: Signer | None) -> Grant:
    given = _read_assertion(parts, JWT_BEARER)
    if given is not None:
        return given
    if signer is None:
        raise _missing_assertion(parts, ", or private_key to sign it here")
    rules = parts.preset.request
    subject = str(parts.values.get("subject", "" if rules.subject_if_named else client_id))
    claims = parts.values.get("assertion_claims", {})
    return JwtBearer(signer, client_id, subject, claims, asserts_scope=rules.scope_in_assertion)


def _read_saml(parts: ConnectionParts, _client_id: str, _signer: Signer | None) -> Grant:
    given = _read_assertion(parts, SAML2_BEARER)
    if given is None:
        raise _missing_assertion(parts, "")
    return given


def _read_assertion(parts: ConnectionParts, grant: str) -> GivenAssertion | None:
    source = _source(parts, "assertion")
    if source is None:
        return None
    for name in ("subject", "assertion_claims"):
        if name in parts.values:
            raise parts.error(
                f"{name} cannot be put into an assertion that is given",
                name,
                "Remove it, or sign here with private_key.",
            )
    return GivenAssertion(grant, source)


def _missing_assertion(parts: ConnectionParts, or_key: str) -> ConnectionConfigError:
    return parts.error(
        "The assertion is missing", "assertion", f"Add assertion or assertion_file{or_key}."
    )


def _read_exchange(
    parts: ConnectionParts, _client_id: str, _signer: Signer | None
) -> TokenExchange:
    subject = _read_presented_token(parts, "subject_token")
    if subject is None:
        raise parts.error(
            "The subject token is missing",
            "subject_token",
            "Add subject_token, or subject_token_file for one that is renewed in a file.",
        )
    actor = _read_presented_token(parts, "actor_token")
    return TokenExchange(subject, actor, str(parts.values.get("requested_token_type", "")))


def _read_presented_token(parts: ConnectionParts, name: str) -> PresentedToken | None:
    source = _source(parts, name)
    kind = f"{name}_type"
    if source is None:
        if kind in parts.values:
            raise parts.error("The token it describes is missing", kind, f"Add {name}.")
        return None
    return PresentedToken(source, str(parts.values.get(kind, ACCESS_TOKEN_TYPE)))


def _source(parts: ConnectionParts, name: str) -> CredentialSource | None:
    file = f"{name}_file"
    if name in parts.values and file in parts.values:
        raise parts.error(f"{name} is given twice", file, f"Keep one of {name} and {file}.")
    if file in parts.values:
        return FileCredential(str(parts.values[file]), parts.conn_id, file)
    return InlineCredential(str(parts.values[name])) if name in parts.values else None


def _read_password(parts: ConnectionParts, _client_id: str, _signer: Signer | None) -> Password:
    for name in ("username", "user_password"):
        if name not in parts.values:
            raise parts.error(
                f"The password grant needs {name}", name, "Add username and user_password to extra."
            )
    if parts.conn_id not in _warned:
        _warned.add(parts.conn_id)
        log.warning(
            "Connection %r uses the password grant, which RFC 9700 §2.4 forbids: it hands a user's password to every "
            "worker. Use client_credentials or refresh_token where the server knows them.",
            parts.conn_id,
        )
    return Password(str(parts.values["username"]), str(parts.values["user_password"]))


GRANT_READERS: dict[str, GrantReader] = {
    "client_credentials": GrantReader(_read_nothing, shows_credential=False),
    "refresh_token": GrantReader(_read_nothing, shows_credential=False),
    JWT_BEARER: GrantReader(
        _read_jwt, ("subject", "assertion_claims", "assertion", "assertion_file"), signs=True
    ),
    SAML2_BEARER: GrantReader(_read_saml, ("assertion", "assertion_file")),
    TOKEN_EXCHANGE: GrantReader(
        _read_exchange,
        (
            "subject_token",
            "subject_token_file",
            "subject_token_type",
            "actor_token",
            "actor_token_file",
            "actor_token_type",
            "requested_token_type",
        ),
    ),
    "password": GrantReader(_read_password, ("username", "user_password")),
}
BUILT_IN = frozenset(GRANT_READERS)
