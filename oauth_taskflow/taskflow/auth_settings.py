"""One reader per ``auth_type``: checked field values → the settings of that kind of authentication."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

import msgspec

from oauth_taskflow.oauth.dialect import Expiry
from oauth_taskflow.oauth.endpoint.error_codes import REFUSALS
from oauth_taskflow.oauth.endpoint.request_encoding import JsonText
from oauth_taskflow.oauth.extension_grants import DelegatedGrant, NamedGrant
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.taskflow.brokered_fields import BrokeredFields
from oauth_taskflow.taskflow.checked_fields import Fields
from oauth_taskflow.taskflow.client_settings import (
    NO_CLIENT,
    ClientSettings,
    read_client,
    read_issuer,
)
from oauth_taskflow.taskflow.connection_fields import DEVICE_CODE
from oauth_taskflow.taskflow.consent_settings import ConsentSettings, read_consent, read_endpoint
from oauth_taskflow.taskflow.grant_settings import read_delegated, read_resources
from oauth_taskflow.taskflow.provider import refresh_ahead, scope_text
from oauth_taskflow.taskflow.settings import (
    ApiKeySettings,
    AuthSettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    LoginSettings,
    NoAuthSettings,
    OAuth2Settings,
    TokenHeader,
)
from oauth_taskflow.urls import is_safe_endpoint, split_url

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN_HEADER = re.compile(
    rf"(?P<name>{_HEADER_NAME.pattern})(?:\s*:\s*(?:(?P<scheme>\S+) +)?\{{token\}})?"
)
# What a person agreed to once goes on as a refresh token; it may live in the token store alone.
_OF_A_PERSON: Mapping[str, str] = {
    "authorization_code": "refresh_token",
    DEVICE_CODE: "refresh_token",
}
_IN_MAPPING = re.compile(r"\w+(\.\w+)+")
_LOGIN_FIELDS = {"username": "{login}", "password": "{password}"}


def _token_header(fields: Fields) -> TokenHeader:
    text = fields.values.get("token_header", "")
    if not text:
        return TokenHeader()
    match = _TOKEN_HEADER.fullmatch(text)
    if match is None:
        raise fields.error(
            "This is not a header with a place for the token",
            "token_header",
            "Write it as in X-Auth-Token: {token} or Authorization: Token {token}.",
        )
    return TokenHeader(match["name"], match["scheme"] or "")


def _oauth2(fields: Fields) -> OAuth2Settings:
    values = fields.values
    refresh_token = values.get("refresh_token", "")
    implied = "refresh_token" if refresh_token else "client_credentials"
    grant: str = _OF_A_PERSON.get(named := values.get("grant_type", implied), named)
    attempt = fields.attempt
    client_id = attempt(lambda known: known.either(known.login, "login", "client_id"), fields.login)
    secret = attempt(
        lambda known: known.either(known.password, "password", "client_secret"), fields.password
    )
    _check_grant(fields, grant, refresh_token)
    issuer = attempt(lambda known: read_issuer(values, known), "")
    token_url = attempt(_token_url, "")
    client = attempt(lambda known: read_client(known, grant, secret), None)
    usual = client is None and grant in {"client_credentials", "refresh_token"}
    named = client is not None and (client.method != "unauthenticated" or client.signer)
    if not client_id and (usual or named):
        fields.blame("The client id is missing", "login", "Put the client id there.")
    client = client or NO_CLIENT
    return OAuth2Settings(
        token_url=token_url,
        client_id=client_id,
        client_secret=secret,
        grant_type=grant,
        client_auth=client.method,
        choose_auth=bool(issuer) and not client.chosen,
        issuer=issuer,
        signer=client.signer,
        client_assertion=client.assertion,
        delegated=attempt(lambda known: _delegated(known, grant, client_id, client), None),
        refresh_token=refresh_token,
        scope=scope_text(values.get("scope", ""), fields.preset),
        audience=values.get("audience", ""),
        resource=attempt(read_resources, ()),
        token_params=attempt(_token_params, {}),
        token_headers=values.get("token_headers", {}),
        token_body=values.get("token_body", "form"),
        token_header=attempt(_token_header, TokenHeader()),
        dpop=attempt(_dpop, ""),
        leeway=refresh_ahead(
            values.get("leeway"), fields.preset, refreshed=grant == "refresh_token"
        ),
        write_back=_write_back(fields, grant),
        consent=attempt(read_consent, ConsentSettings()),
        introspect_url=attempt(lambda known: read_endpoint(known, "introspect_url"), ""),
        preset=attempt(_answering, fields.preset),
    )


def _answering(fields: Fields) -> Preset:
    """The preset, with the places in the token endpoint's answer that the connection names."""
    preset, values = fields.preset, fields.values
    response, expiry = preset.response, preset.response.expiry
    if "token_path" in values:
        path = _jmespath(fields, "token_path", "access_token")
        # A refresh token stands beside its access token, or where the standard has it.
        beside = f"{path.rpartition('.')[0]}.refresh_token"
        usual = f"{beside} || refresh_token" if _IN_MAPPING.fullmatch(path) else "refresh_token"
        own = response.refresh_token if response.refresh_token != "refresh_token" else usual
        response = msgspec.structs.replace(response, access_token=path, refresh_token=own)
    if "refresh_token_path" in values:
        path = _jmespath(fields, "refresh_token_path", "refresh_token")
        response = msgspec.structs.replace(response, refresh_token=path)
    if "expires_path" in values:
        expiry = Expiry(path=_jmespath(fields, "expires_path", "expires_in"))
    if lifetime := values.get("token_lifetime"):
        expiry = Expiry(source="fixed", lifetime_s=lifetime)
    errors = {**response.errors, **_token_errors(fields)}
    response = msgspec.structs.replace(response, expiry=expiry, errors=errors)
    return msgspec.structs.replace(preset, response=response)


def _token_errors(fields: Fields) -> Mapping[str, str]:
    """What the token endpoint's codes mean, as the connection says."""
    given: Mapping[str, str] = fields.values.get("token_errors", {})
    if unknown := sorted(set(given.values()) - set(REFUSALS)):
        raise fields.error(
            f"An error means {unknown[0]!r}, which is no error code of RFC 6749",
            "token_errors",
            f"Known: {', '.join(REFUSALS)}.",
        )
    return given


def _token_params(fields: Fields) -> dict[str, str]:
    params: dict[str, str] = fields.values.get("token_params", {})
    in_json = fields.values.get("token_body", "form") == "json"
    if not in_json and any(isinstance(value, JsonText) for value in params.values()):
        raise fields.error(
            "The value must map names to texts, unless token_body is json",
            "token_params",
            "Write a list or mapping as the text that the server wants.",
        )
    return params


def _delegated(
    fields: Fields, grant: str, client_id: str, client: ClientSettings
) -> DelegatedGrant | NamedGrant | None:
    if client is NO_CLIENT:
        return None  # without the client's key nothing can be said about an assertion
    return read_delegated(fields, grant, client_id, client.signer)


def _write_back(fields: Fields, grant: str) -> bool:
    wanted = fields.values.get("write_back", False)
    if not isinstance(wanted, bool):
        fields.blame("The value must be true or false", "write_back", "")
    elif wanted and grant != "refresh_token":
        what = f"The {grant} grant has no refresh token to write back"
        fields.blame(what, "write_back", "Leave it out.")
    return wanted is True


def _dpop(fields: Fields) -> str:
    algorithm = str(fields.values.get("dpop", ""))
    if algorithm and "token_header" in fields.values:
        raise fields.error(
            "A token bound to a key goes into Authorization: DPoP (RFC 9449 §7.1)",
            "token_header",
            "Remove it, or remove dpop.",
        )
    return algorithm


def _token_url(fields: Fields) -> str:
    url = str(fields.values.get("token_url", ""))
    if not url and fields.values.get("issuer"):
        return ""
    if not url:
        raise fields.error(
            "The token endpoint is missing",
            "token_url",
            "Put the authorization server's token URL into extra, or its issuer.",
        )
    if not is_safe_endpoint(url):
        raise fields.error(
            "The token endpoint is not an https URL",
            "token_url",
            "Write it as https://id.example.com/token; plain http is accepted for 127.0.0.1 and [::1].",
        )
    return url


def _check_grant(fields: Fields, grant: str, refresh_token: str) -> None:
    if grant != "refresh_token" and refresh_token:
        fields.blame(
            f"A refresh token is no part of the {grant} grant",
            "refresh_token",
            "Remove it, or remove grant_type.",
        )


def _password(fields: Fields, what: str) -> str:
    if not fields.password:
        raise fields.error(f"The {what} is missing", "password", f"Put the {what} there.")
    if any(ord(char) < 32 for char in fields.password):
        raise fields.error(
            f"The {what} holds a line break or control character", "password", "Paste it again."
        )
    return fields.password


def _bearer(fields: Fields) -> BearerSettings | BrokeredSettings:
    token, header = _password(fields, "token"), _token_header(fields)
    brokered: BrokeredFields | None = fields.values.get("brokered")
    if brokered is None or brokered.obtained_at is None:
        return BearerSettings(token, header)
    return BrokeredSettings(
        token,
        brokered.obtained_at,
        brokered.obtained_at if brokered.answered_at is None else brokered.answered_at,
        brokered.expires_at,
        header,
        fields.values.get("leeway", 60.0),
        brokered.proof,
        brokered.proof_location,
    )


def _api_key(fields: Fields) -> ApiKeySettings:
    values = fields.values
    placement = values.get("api_key_in", "header")
    name = values.get("api_key_name", "X-API-Key")
    if placement == "header" and not _HEADER_NAME.fullmatch(name):
        raise fields.error(
            "This is not the name of a header", "api_key_name", "Write it as in X-API-Key."
        )
    prefix = values.get("api_key_prefix", "")
    # The form strips blanks; a scheme such as "Token" is always set apart from the key by one.
    if prefix[-1:].isalnum():
        prefix += " "
    return ApiKeySettings(_password(fields, "API key"), name, placement, prefix)


def _basic(fields: Fields) -> BasicSettings:
    if not fields.login:
        raise fields.error("The user name is missing", "login", "Put the user name there.")
    if ":" in fields.login:
        raise fields.error(
            "The user name holds a colon (RFC 7617 §2)", "login", "Basic cannot carry it."
        )
    return BasicSettings(fields.login, fields.password)


def _session(fields: Fields) -> LoginSettings:
    values = fields.values
    body = values.get("login_fields", _LOGIN_FIELDS)
    places = "".join(body.values())
    for place, part in (("{login}", fields.login), ("{password}", fields.password)):
        if place in places and not part:
            name = place.strip("{}")
            raise fields.error(
                f"The login request needs the {name}",
                name,
                f"Fill it, or leave {place} out of login_fields.",
            )
    filled = {
        name: text.replace("{login}", fields.login).replace("{password}", fields.password)
        for name, text in body.items()
    }
    return LoginSettings(
        url=_login_url(fields),
        fields=filled,
        body=values.get("login_body", "json"),
        headers=values.get("token_headers", {}),
        token_path=_jmespath(fields, "token_path", "access_token"),
        expires_path=_jmespath(fields, "expires_path", "expires_in"),
        token_lifetime=values.get("token_lifetime"),
        token_header=_token_header(fields),
        leeway=values.get("leeway", 60.0),
    )


def _login_url(fields: Fields) -> str:
    # As a link on the API's own page would be read (RFC 3986 §5): a leading slash starts at the host.
    path = str(fields.values.get("login_url", "/auth/token"))
    url = urljoin(f"{fields.base_url}/", path) if split_url(path) else ""
    # A login on the API's own origin is no more exposed than the calls that follow it.
    same_origin = urlsplit(url)[:2] == urlsplit(fields.base_url)[:2]
    if not (same_origin or is_safe_endpoint(url)):
        raise fields.error(
            "The login request would leave this host without encryption",
            "login_url",
            "Write an https URL, or a path on the API's own host.",
        )
    return url


def _jmespath(fields: Fields, name: str, default: str) -> str:
    import jmespath  # noqa: PLC0415 - only this kind of connection needs it
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - as above

    text = str(fields.values.get(name, default))
    try:
        jmespath.compile(text)
    except JMESPathError:
        raise fields.error(
            "This is not a JMESPath expression", name, f"Write it as in {default}."
        ) from None
    return text


def _none(fields: Fields) -> NoAuthSettings:
    if fields.password:
        raise fields.error(
            "A password is given, and auth_type none would not send it",
            "password",
            "Clear it, or choose another auth_type.",
        )
    return NoAuthSettings()


AUTH_READERS: Mapping[str, Callable[[Fields], AuthSettings]] = {
    "oauth2": _oauth2,
    "bearer": _bearer,
    "api_key": _api_key,
    "basic": _basic,
    "session": _session,
    "none": _none,
}
