"""Stored grants in every state, put into the token store of a deployment."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import InvalidGrant, OAuthTaskflowError, TokenEndpointUnavailable
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from oauth_taskflow.tokens.grant_key import GrantIdentity
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.consent import Consent
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, LastFailure
from tests.browser.server import Deployment

# The text in every stored grant, and in no answer of the page.
SECRET = "s3cret-of-the-store"
_DAY = 86400.0


def open_store(deployment: Deployment) -> SqlTokenStore:
    """The token store of ``deployment``, opened by this process."""
    keys = [deployment.environment["AIRFLOW__CORE__FERNET_KEY"]]
    return SqlTokenStore(deployment.environment["AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE"], keys)


def find_key(conn_id: str, connection: dict[str, Any]) -> str:
    """The key under which the grant of that connection is stored, as long as it stays as it is."""
    known = {name: connection.get(name) for name in ("host", "schema", "login", "password", "port")}
    extra = json.dumps(connection.get("extra") or {})
    fields: Any = SimpleNamespace(**known, conn_id=conn_id, conn_type="oauth2", extra=extra)
    settings = parse_connection(fields, announce=False)
    assert isinstance(settings.auth, OAuth2Settings)
    traded = grant(settings.auth)
    endpoint = token_endpoint(settings, settings.auth)
    return GrantIdentity.for_grant(endpoint, traded, traded.subject_key).key


def put(
    store: SqlTokenStore, conn_id: str, number: int = 0, *, key: str = "", **changes: object
) -> str:
    """Stores a grant of ``conn_id`` with a valid token, changed as ``changes`` say; its grant key.

    ``key`` is that of a connection that exists (``find_key``).
    """
    key = key or hashlib.sha256(f"{conn_id}/{number}".encode()).hexdigest()
    leased = store.acquire(key, owner="tests", ttl=1.0)
    assert leased is not None
    now = leased.read_at.store

    def fill(record: GrantRecord) -> GrantRecord:
        token = Token(f"{SECRET}-access", now - 600.0, now + 3000.0)
        consent = Consent(now - 20 * _DAY, None, now + 30 * _DAY)
        filled = replace(
            record,
            conn_id=conn_id,
            state=GrantState.ACTIVE,
            token=token,
            refresh_token=f"{SECRET}-refresh",
            lineage="l",
            consent=consent,
            consent_fence=1,
            consented_by="alice",
            lease=replace(record.lease, owner=None, until=None),
        )
        return replace(filled, **changes)

    store.change(leased, fill)
    return key


def ended_token(now: float) -> Token:
    """A token that ended an hour ago."""
    return Token(f"{SECRET}-access", now - 7200.0, now - 3600.0)


def failure(error: OAuthTaskflowError, now: float, until: float | None = None) -> LastFailure:
    """``error`` as the store keeps it, the first of its kind an hour ago."""
    return LastFailure.from_error(error, "", until, 3).follow(None, now - 3600.0)


def refused() -> InvalidGrant:
    """The refusal of a refresh token that ended."""
    return InvalidGrant(
        error="invalid_grant",
        status=400,
        where="at https://id.example.com/token",
        grant="refresh_token",
        hint="Authorize it again.",
    )


def unavailable() -> TokenEndpointUnavailable:
    """A token endpoint that is down."""
    return TokenEndpointUnavailable(
        "Token endpoint unavailable (HTTP 503)",
        where="at https://id.example.com/token",
        hint="Workers ask again by themselves.",
    )
