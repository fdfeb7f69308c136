"""Reads connections of every other ``auth_type``: bearer, api_key, basic and none."""

from __future__ import annotations

from oauth_taskflow.connections.brokered import BrokeredFields
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers.token_location import (
    HEADER_NAME,
    read_token_place,
)
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    NoAuthSettings,
)


def read_bearer(parts: ConnectionParts) -> BearerSettings | BrokeredSettings:
    """Returns the settings of a fixed token, or of one that the broker handed out.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    token, place = _password(parts, "token"), read_token_place(parts)
    brokered: BrokeredFields | None = parts.values.get("brokered")
    if brokered is None or brokered.obtained_at is None:
        return BearerSettings(token, place)
    return BrokeredSettings(
        token,
        brokered.obtained_at,
        brokered.obtained_at if brokered.answered_at is None else brokered.answered_at,
        brokered.expires_at,
        place,
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


def read_none(parts: ConnectionParts) -> NoAuthSettings:
    """Returns the settings of an API without authentication.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    if parts.password and not parts.sends_password:
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
