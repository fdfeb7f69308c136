"""Where an action sends the credentials of a connection, in one sentence for the person who is asked to confirm it."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from oauth_taskflow.connections.settings import (
    AwsSettings,
    ConnectionSettings,
    LoginSettings,
    NoAuthSettings,
    OAuth2Settings,
)
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.taskflow.connection_lookup import load_settings


class ActionEffects(Struct, frozen=True):
    """One sentence for each action about what is sent and to which host; empty where that is not possible or not known."""

    refresh: str = ""
    test: str = ""
    revoke: str = ""


def describe_effects(conn_id: str) -> ActionEffects:
    """Describes the actions on the Connection ``conn_id``. Nothing is sent or stored, and no metadata are fetched.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
    """
    settings = load_settings(conn_id)
    auth = settings.auth
    if isinstance(auth, OAuth2Settings):
        return _describe_grant(settings, auth)
    if isinstance(auth, LoginSettings):
        place = _name_host(settings, auth.url)
        return ActionEffects(test=f"One login request is sent to {place}.")
    sent = {AwsSettings: "One signed request", NoAuthSettings: "One request without credentials"}
    what = sent.get(type(auth), "One request with the credentials")
    return ActionEffects(test=f"{what} is sent to {_name_host(settings, settings.base_url)}.")


def _describe_grant(settings: ConnectionSettings, auth: OAuth2Settings) -> ActionEffects:
    place = _name_server(settings, auth.token_url, auth.issuer)
    ended = _name_server(settings, auth.consent.revoke_url, auth.consent.issuer)
    revoke = f"The stored tokens are sent to {ended}." if ended else ""
    if auth.grant_type == "refresh_token":
        refresh = f"The refresh token is sent to {place}. If the provider rotates refresh tokens, the answer replaces it."
        test = f"Nothing is sent while the stored token is valid; else the refresh token is sent to {place}."
        return ActionEffects(refresh, test, revoke)
    sent = f"The credentials of the client are sent to {place}"
    if auth.grant_type == "client_credentials":
        return ActionEffects(f"{sent}.", f"{sent} for a token that is not stored.", revoke)
    test = f"Nothing is sent while the stored token is valid; else the credentials of the client are sent to {place}."
    return ActionEffects(f"{sent}.", test, revoke)


def _name_server(settings: ConnectionSettings, url: str, issuer: str) -> str:
    """The host of ``url``; without it the one whose metadata name the URL."""
    if url or not issuer:
        return _name_host(settings, url)
    return f"the endpoint that {_name_host(settings, issuer)} publishes"


def _name_host(settings: ConnectionSettings, url: str) -> str:
    return urlsplit(redact_url(url, settings.url_secrets)).netloc
