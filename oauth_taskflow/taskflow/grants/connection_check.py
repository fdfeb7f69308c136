"""The check behind Airflow's "Test" button and ``airflow connections test``."""

from __future__ import annotations

import os
import re

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.settings import (
    ConnectionSettings,
    OAuth2Settings,
    SelfSignedSettings,
)
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.masking_source import token_secrets
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.grants.trial_call import call_api
from oauth_taskflow.taskflow.sessions import session_for, token_source
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint


def try_connection(conn_id: str) -> tuple[bool, str]:
    """Whether the connection works, and one sentence about the result.

    Connections with a token endpoint or a login fetch a token. Others call the API's base URL and fail only on 401 or 403.
    """
    try:
        return _try(load_settings(conn_id))
    except OAuthTaskflowError as error:
        return False, str(error)


def _try(settings: ConnectionSettings) -> tuple[bool, str]:
    auth = settings.auth
    if isinstance(auth, OAuth2Settings) and auth.grant_type == "client_credentials":
        return True, _describe(_fetch_token(settings, auth))
    if isinstance(auth, OAuth2Settings) and _is_trial(settings.conn_id):
        return True, (
            "The settings are complete. The refresh token was not tried: it may be single-use, and the next task would "
            "find it spent. Save the connection and run: airflow connections test <conn_id>"
        )
    source = token_source(settings)
    if source is not None and not isinstance(auth, SelfSignedSettings):  # only the API can say
        return True, _describe(source.token())
    with session_for(settings) as session:
        result = call_api(session, settings)
    return result.ok, result.text


def _fetch_token(settings: ConnectionSettings, auth: OAuth2Settings) -> Token:
    """Fetches a new token: one from the store would not prove today's client secret."""
    outcome = token_endpoint(settings, auth).exchange(grant(auth))
    if isinstance(outcome, Granted):
        secret_registry.add(token_secrets(outcome.token))
        return outcome.token
    raise outcome.error


def _is_trial(conn_id: str) -> bool:
    """Whether Airflow's UI tests a form: it does so under a random name that no task uses."""
    served = os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "server"
    random_name = re.fullmatch(r"[A-Za-z0-9]{8}", conn_id) is not None
    return served and random_name and f"AIRFLOW_CONN_{conn_id.upper()}" in os.environ


def _describe(token: Token) -> str:
    lifetime = ""
    if token.expires_at is not None:
        lifetime = f", valid for {token.expires_at - token.obtained_at:.0f} s"
    scope = f", scope {token.scope!r}" if token.scope else ""
    return f"Token received{lifetime}{scope}."
