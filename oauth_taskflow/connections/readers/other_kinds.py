"""Reads connections of every other ``auth_type``: bearer, api_key, basic, session and none."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from oauth_taskflow.connections.brokered import BrokeredFields
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers.token_location import (
    HEADER_NAME,
    read_jmespath,
    read_token_header,
)
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    LoginSettings,
    NoAuthSettings,
)
from oauth_taskflow.urls import is_safe_endpoint, split_url

_LOGIN_FIELDS = {"username": "{login}", "password": "{password}"}


def read_bearer(parts: ConnectionParts) -> BearerSettings | BrokeredSettings:
    """Returns the settings of a fixed token, or of one that the broker handed out.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    token, header = _password(parts, "token"), read_token_header(parts)
    brokered: BrokeredFields | None = parts.values.get("brokered")
    if brokered is None or brokered.obtained_at is None:
        return BearerSettings(token, header)
    return BrokeredSettings(
        token,
        brokered.obtained_at,
        brokered.obtained_at if brokered.answered_at is None else brokered.answered_at,
        brokered.expires_at,
        header,
        parts.values.get("leeway", 60.0),
        brokered.proof,
        brokered.proof_location,
    )


def read_api_key(parts: ConnectionParts) -> ApiKeySettings:
    """Returns the settings of an API key.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    values = parts.values
    placement = values.get("api_key_in", "header")
    name = values.get("api_key_name", "X-API-Key")
    if placement == "header" and not HEADER_NAME.fullmatch(name):
        raise parts.error(
            "This is not the name of a header", "api_key_name", "Write it as in X-API-Key."
        )
    prefix = values.get("api_key_prefix", "")
    # The form strips blanks; a scheme such as "Token" is always set apart from the key by one.
    if prefix[-1:].isalnum():
        prefix += " "
    return ApiKeySettings(_password(parts, "API key"), name, placement, prefix)


def read_basic(parts: ConnectionParts) -> BasicSettings:
    """Returns the settings of HTTP Basic authentication.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    if not parts.login:
        raise parts.error("The user name is missing", "login", "Put the user name there.")
    if ":" in parts.login:
        raise parts.error(
            "The user name holds a colon (RFC 7617 §2)", "login", "Basic cannot carry it."
        )
    return BasicSettings(parts.login, parts.password)


def read_session(parts: ConnectionParts) -> LoginSettings:
    """Returns the settings of a login request whose answer contains the token.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    values = parts.values
    body = values.get("login_fields", _LOGIN_FIELDS)
    places = "".join(body.values())
    for place, part in (("{login}", parts.login), ("{password}", parts.password)):
        if place in places and not part:
            name = place.strip("{}")
            raise parts.error(
                f"The login request needs the {name}",
                name,
                f"Fill it, or leave {place} out of login_fields.",
            )
    filled = {
        name: text.replace("{login}", parts.login).replace("{password}", parts.password)
        for name, text in body.items()
    }
    return LoginSettings(
        url=_login_url(parts),
        fields=filled,
        body=values.get("login_body", "json"),
        headers=values.get("token_headers", {}),
        token_path=read_jmespath(parts, "token_path", "access_token"),
        expires_path=read_jmespath(parts, "expires_path", "expires_in"),
        token_lifetime=values.get("token_lifetime"),
        token_header=read_token_header(parts),
        leeway=values.get("leeway", 60.0),
    )


def _login_url(parts: ConnectionParts) -> str:
    # Resolved like a link on the API's own page (RFC 3986 §5): a leading slash starts at the host.
    path = str(parts.values.get("login_url", "/auth/token"))
    url = urljoin(f"{parts.base_url}/", path) if split_url(path) else ""
    # A login on the API's own origin is exposed as much as the calls that follow it.
    same_origin = urlsplit(url)[:2] == urlsplit(parts.base_url)[:2]
    if not (same_origin or is_safe_endpoint(url)):
        raise parts.error(
            "The login request would leave this host without encryption",
            "login_url",
            "Write an https URL, or a path on the API's own host.",
        )
    return url


def read_none(parts: ConnectionParts) -> NoAuthSettings:
    """Returns the settings of an API without authentication.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    if parts.password:
        raise parts.error(
            "A password is given, and auth_type none would not send it",
            "password",
            "Clear it, or choose another auth_type.",
        )
    return NoAuthSettings()


def _password(parts: ConnectionParts, what: str) -> str:
    if not parts.password:
        raise parts.error(f"The {what} is missing", "password", f"Put the {what} there.")
    if any(ord(char) < 32 for char in parts.password):
        raise parts.error(
            f"The {what} holds a line break or control character", "password", "Paste it again."
        )
    return parts.password
