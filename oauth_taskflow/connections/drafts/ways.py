"""The ways in which a connection of one provider gets its tokens, and the keys that each way needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from oauth_taskflow.connections.drafts.form_key import FormKey, make_key, make_own_key
from oauth_taskflow.connections.fields.grants import GRANT_NAMES
from oauth_taskflow.connections.fields.table import FIELDS
from oauth_taskflow.connections.preset import choose_only_grant
from oauth_taskflow.connections.readers.grant import GRANT_READERS, grant_reader
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.presets.model import Preset

# A draft without a preset is for any server, with any kind of authentication.
OTHER = Preset(
    title="Another provider",
    grants=(
        "authorization_code",
        "client_credentials",
        "jwt_bearer",
        "saml2_bearer",
        "token_exchange",
        "password",
    ),
    client_auth=("client_secret_basic", "private_key_jwt", "none"),
)
_OTHER_KINDS = ("bearer", "api_key", "basic", "session", "self_signed_jwt", "aws_sigv4", "none")
_TITLES = {
    "consent": "A person consents once",
    "application": "The application itself",
    "refresh_token": "A refresh token that you have",
    "jwt_bearer": "A private key signs for an account",
    "saml2_bearer": "A SAML assertion",
    "token_exchange": "Another token is exchanged",
    "password": "A user's name and password",
    "bearer": "A token that never changes",
    "api_key": "An API key",
    "basic": "User name and password on every request",
    "session": "A login request that yields a token",
    "self_signed_jwt": "A private key signs the token",
    "aws_sigv4": "AWS Signature Version 4",
    "none": "Keys in parameters, headers or address",
}
_REQUIRED_BY_GRANT: Mapping[str, tuple[str, ...]] = {
    "consent": (),
    "application": (),
    "refresh_token": ("refresh_token",),
    "jwt_bearer": ("private_key",),
    "saml2_bearer": ("assertion",),
    "token_exchange": ("subject_token",),
    "password": ("username", "user_password"),
}
# Grants with their own credential, so that the client need not show one (RFC 7521 §4.1).
_SHOWS_CREDENTIAL = frozenset({"saml2_bearer", "token_exchange", "password"})
_CREDENTIAL_KEYS = {
    "private_key": "private_key",
    "assertion": "client_assertion_file",
    "certificate": "cert",
}
# Keys of every connection that a form never offers: it decides them itself, or the form has another field for them.
_NEVER = frozenset({"provider", "auth_type", "brokered", "client_id", "client_secret"})
_OF_LOGIN: Mapping[str, tuple[str, str]] = {
    "oauth2": ("Client ID", "The id of the application that you registered at the provider."),
    "basic": ("User name", "The user name, or the key's id."),
    "session": ("User name", "Of the login request."),
    "self_signed_jwt": ("Issuer", "The iss of the JWT, as the provider names it."),
    "aws_sigv4": ("Access key ID", "Empty: the credentials of the machine sign."),
    "none": ("Login", "Fills {login}."),
}
_OF_PASSWORD: Mapping[str, tuple[str, str]] = {
    "oauth2": ("Client secret", "The secret of the application that you registered."),
    "bearer": ("Token", "The token, as it is."),
    "api_key": ("API key", "The key, as it is."),
    "basic": ("Password", "The password, or the key's secret."),
    "session": ("Password", "Of the login request."),
    "self_signed_jwt": (
        "Shared secret",
        "Signs instead of a private key (HS256, at least 32 bytes).",
    ),
    "aws_sigv4": ("Secret access key", "Empty: the credentials of the machine sign."),
    "none": ("Password", "Fills {password}."),
}


class Way(Struct, frozen=True, kw_only=True):
    """One way to tokens. ``writes`` are the keys of extra that choose it; ``more`` are keys that few connections need.

    ``by_person``: a person consents, so that the provider must know the redirect URI.
    """

    name: str
    title: str
    by_person: bool = False
    writes: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[FormKey, ...] = ()
    more: tuple[FormKey, ...] = ()


def list_ways(preset: Preset) -> tuple[Way, ...]:
    """Returns the ways of ``preset``, at least one, the provider's first grant first; those of any server for ``OTHER``."""
    if preset.auth_type != "oauth2":
        return (_other_kind(preset, preset.auth_type),)
    names = list(_grant_ways(preset))
    ways = tuple(_grant_way(preset, name) for name in dict.fromkeys(names))
    return ways + tuple(_other_kind(OTHER, kind) for kind in _OTHER_KINDS if preset is OTHER)


def _grant_ways(preset: Preset) -> Iterator[str]:
    by_person = {"authorization_code", "device_code"} & set(preset.grants)
    for grant in preset.grants:
        if grant in {"authorization_code", "device_code"}:
            yield "consent"
        elif grant == "client_credentials":
            yield "application"
        elif grant == "vendor":
            # Alone it is the preset's own grant; next to others it is one that token_params describe.
            if not by_person and "refresh_token" not in preset.grants:
                yield "application"
        elif grant != "refresh_token" or not by_person:
            yield grant


def _grant_way(preset: Preset, name: str) -> Way:
    grant = {"consent": "refresh_token", "application": "client_credentials"}.get(name, name)
    keys = tuple(_unique(_oauth2_keys(preset, name)))
    return Way(
        name=name,
        title=_TITLES[name],
        by_person=name == "consent",
        writes=_written(preset, name),
        keys=keys,
        more=_more_keys("oauth2", keys, grant_reader(GRANT_NAMES.get(grant, grant)).keys),
    )


def _written(preset: Preset, name: str) -> dict[str, str]:
    """Returns the keys that choose the way; none if a connection without them goes it anyway."""
    implied = "application" if choose_only_grant(preset) == "" else "consent"
    if name in {implied, "refresh_token"}:
        return {}
    named = {"consent": "authorization_code", "application": "client_credentials"}
    return {"grant_type": named.get(name, name)}


def _oauth2_keys(preset: Preset, name: str) -> Iterator[FormKey]:
    yield from _own_keys(preset)
    yield from _address_keys(preset, by_person=name == "consent")
    yield _login("oauth2", required=name not in _SHOWS_CREDENTIAL)
    yield from (make_key(key, required=True) for key in _REQUIRED_BY_GRANT[name])
    yield from _client_keys(preset, name)
    default = " ".join(preset.default_scopes)
    yield make_key("scope", says=_describe_scope(preset, name), default=default)
    if name == "jwt_bearer":
        yield make_key("subject")
        yield make_key("key_id")
    if name == "consent":
        says = "Only if you have one already. Otherwise leave it empty and connect afterwards."
        yield make_key("refresh_token", says=says)


def _client_keys(preset: Preset, name: str) -> Iterator[FormKey]:
    needs = [CLIENT_AUTH_METHODS[method].needs for method in preset.client_auth]
    if "secret" in needs:
        alone = {*needs} == {"secret"} and name not in _SHOWS_CREDENTIAL | {"jwt_bearer"}
        yield _password("oauth2", required=alone)
    for need, key in _CREDENTIAL_KEYS.items():
        if need in needs:
            yield make_key(key, required={*needs} == {need})


def _describe_scope(preset: Preset, name: str) -> str:
    says = "What the token may do; several separated by blanks."
    if preset.offline_scopes and name == "consent":
        says += f" {' '.join(preset.offline_scopes)} is added, for a refresh token."
    return says


def _address_keys(preset: Preset, *, by_person: bool) -> Iterator[FormKey]:
    """The keys for what the preset does not know about the provider's addresses."""
    if not preset.token_url:
        yield make_key("issuer")
        yield make_key("token_url", says="The token endpoint, if the issuer does not publish it.")
    if by_person and not preset.authorize_url:
        says = "Where people consent, if the issuer does not publish it."
        yield make_key("authorize_url", says=says)
    yield _host(preset)


def _host(preset: Preset) -> FormKey:
    known = preset.base_url is not None or preset.base_url_from is not None
    default = preset.base_url or ""
    says = "The address of the API, path included."
    if preset.base_url_from is not None:
        says += " Empty: the provider names it in its answer."
    return FormKey(
        name="host",
        label="API base URL",
        help=says,
        is_required=not known,
        placeholder="https://api.example.com/v3",
        default=default,
    )


def _own_keys(preset: Preset) -> Iterator[FormKey]:
    yield from (make_own_key(name, variable) for name, variable in preset.variables.items())


def _login(auth_type: str, *, required: bool) -> FormKey:
    label, says = _OF_LOGIN[auth_type]
    return FormKey(name="login", label=label, help=says, is_required=required)


def _password(auth_type: str, *, required: bool) -> FormKey:
    label, says = _OF_PASSWORD[auth_type]
    if auth_type == "oauth2" and not required:
        says += " Empty for a client without one."
    return FormKey(
        name="password",
        label=label,
        help=says,
        input="password",
        is_required=required,
        is_hidden=True,
    )


def _other_kind(preset: Preset, auth_type: str) -> Way:
    keys = tuple(_unique(_other_keys(preset, auth_type)))
    return Way(
        name=auth_type,
        title=_TITLES[auth_type],
        writes={} if preset.auth_type == auth_type else {"auth_type": auth_type},
        keys=keys,
        more=_more_keys(auth_type, keys, ()),
    )


def _other_keys(preset: Preset, auth_type: str) -> Iterator[FormKey]:
    yield from _own_keys(preset)
    yield _host(preset)
    # An API whose preset sends both as parameters needs both.
    both = auth_type in {"basic", "session"} or bool(preset.api_params)
    if auth_type not in {"bearer", "api_key"}:
        named = any("{login}" in claim for claim in preset.jwt_claims.values())
        yield _login(auth_type, required=both or named)
    if auth_type == "self_signed_jwt":
        yield make_key("private_key")
        yield make_key("key_id")
    yield _password(auth_type, required=both or auth_type in {"bearer", "api_key"})
    shown: dict[str, tuple[str, ...]] = {
        "api_key": ("api_key_name", "api_key_in"),
        "session": ("login_url", "token_path"),
        "none": () if preset.api_params else ("api_params", "api_headers"),
    }
    yield from map(make_key, shown.get(auth_type, ()))
    for key in ("aws_region", "aws_service"):
        if auth_type == "aws_sigv4":
            yield make_key(key, required=True)


def _more_keys(
    auth_type: str, shown: tuple[FormKey, ...], own: tuple[str, ...]
) -> tuple[FormKey, ...]:
    """Returns the other keys that connections of this kind may have; of those that belong to grants, ``own`` alone."""
    foreign = {key for reader in GRANT_READERS.values() for key in reader.keys} - {*own}
    left_out = _NEVER | foreign | {key.name for key in shown}
    if auth_type == "oauth2" and "refresh_token" not in {key.name for key in shown}:
        left_out |= {"refresh_token"}
    return tuple(
        make_key(known.name)
        for known in FIELDS
        if auth_type in known.auth_types and known.name not in left_out
    )


def _unique(keys: Iterator[FormKey]) -> Iterator[FormKey]:
    """Yields the first key of each name: what is required comes before what is optional."""
    seen: dict[str, FormKey] = {}
    for key in keys:
        seen.setdefault(key.name, key)
    yield from seen.values()
