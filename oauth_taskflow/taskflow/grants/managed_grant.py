"""The grant of a connection with all that commands need: store, token endpoint and the endpoints of consent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from oauth_taskflow.connections.readers.consent import ConsentSettings
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    ConnectionSettings,
    LoginSettings,
    NoAuthSettings,
    OAuth2Settings,
)
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.dialect import RevocationDialect
from oauth_taskflow.oauth.endpoint.discovery import find_endpoint, server_metadata
from oauth_taskflow.oauth.endpoint.server_metadata import ServerMetadata
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.login.authorization import AuthorizationServer
from oauth_taskflow.taskflow.config import fernet_keys, is_broker_configured, store_url
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import token_manager
from oauth_taskflow.taskflow.token_sources import grant_options, token_endpoint
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.store import TokenStore

_AUTH_TYPES = {
    BearerSettings: "bearer",
    BrokeredSettings: "bearer",
    ApiKeySettings: "api_key",
    BasicSettings: "basic",
    LoginSettings: "session",
    NoAuthSettings: "none",
}
# Keys of a connection and the names in RFC 8414 §2, RFC 8628 §4 and RFC 9126 §5.
_PUBLISHED = {
    "authorize_url": "authorization_endpoint",
    "device_url": "device_authorization_endpoint",
    "par_url": "pushed_authorization_request_endpoint",
    "revoke_url": "revocation_endpoint",
}


@dataclass(frozen=True)
class ManagedGrant:
    """The grant of the Connection ``conn_id``."""

    settings: ConnectionSettings
    auth: OAuth2Settings
    endpoint: TokenEndpoint
    manager: TokenManager

    @property
    def conn_id(self) -> str:
        """The connection's name."""
        return self.settings.conn_id

    @property
    def consent(self) -> ConsentSettings:
        """The endpoints that ask for consent and end it."""
        return self.auth.consent

    @property
    def revocation(self) -> RevocationDialect:
        """How the provider ends grants."""
        return self.auth.preset.revoke

    @property
    def options(self) -> GrantOptions:
        """Scope, audience, resources and other parameters that connection and preset add to the requests of a login."""
        return grant_options(self.auth, "authorization_code")

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server as a login sees it.

        Raises:
            ConnectionConfigError: the authorization endpoint is missing.
        """
        issuer, published = self.consent.issuer, self._published
        names_itself = published is not None and published.iss_in_callback
        return AuthorizationServer(self.endpoint_url("authorize_url"), issuer, names_itself)

    def endpoint_url(self, name: str) -> str:
        """The URL of the connection's key ``name``, or the one that its issuer publishes.

        Raises:
            ConnectionConfigError: neither exists.
        """
        url = self.find_endpoint_url(name)
        if not url:
            raise self.error("This endpoint is missing", name, "Put its URL into extra.")
        return url

    def find_endpoint_url(self, name: str) -> str:
        """The URL of the connection's key ``name``, or the one that its issuer publishes; empty without either.

        Raises:
            ConnectionConfigError: the issuer's metadata are missing, or no secret may be sent to that address.
        """
        configured: str = getattr(self.consent, name)
        published = None if configured else self._published
        if published is None:
            return configured
        # A browser does not present the client certificate of the connection.
        mtls = self.settings.cert is not None and name != "authorize_url"
        found = find_endpoint(
            published, _PUBLISHED[name], conn_id=self.conn_id, field=name, mtls=mtls
        )
        return found or ""

    @cached_property
    def _published(self) -> ServerMetadata | None:
        """The metadata of the issuer; None without an issuer, or when authorize_url is configured and they are missing."""
        if not self.consent.issuer:
            return None
        transport = self.endpoint.transport
        try:
            return server_metadata(self.consent.issuer, conn_id=self.conn_id, transport=transport)
        except ConnectionConfigError:
            if self.consent.authorize_url:
                return None  # the issuer serves only to be compared with the answer's iss
            raise

    @property
    def store(self) -> TokenStore:
        """Where the grant is kept."""
        return open_store(store_url(), fernet_keys())

    def error(self, what: str, field: str, hint: str) -> ConnectionConfigError:
        """An error about ``field`` of the connection."""
        return ConnectionConfigError(what, conn_id=self.conn_id, field=field, hint=hint)


def load_managed_grant(conn_id: str) -> ManagedGrant:
    """Loads the grant of the Connection ``conn_id``; no request is sent yet.

    A consent whose answer waits in a file of this machine is stored first.

    Raises:
        ConnectionConfigError: the connection is missing or wrong, or of a kind that stores no grant.
        TokenStoreError: the token store or its keys are unusable, or it is away while an answer waits.
    """
    settings = load_settings(conn_id)
    if not isinstance(settings.auth, OAuth2Settings):
        raise _explain_no_grant(settings)
    # The broker's store may be a file, so that this command must run on the same machine.
    manager = token_manager(settings, settings.auth, brokered=is_broker_configured())
    manager.stored.import_consents()
    # One DPoP key for the whole login: a pushed request is bound to it too (RFC 9449 §10.1).
    endpoint = token_endpoint(settings, settings.auth).with_dpop_key()
    return ManagedGrant(settings, settings.auth, endpoint, manager)


def _explain_no_grant(settings: ConnectionSettings) -> ConnectionConfigError:
    conn_id, kind = settings.conn_id, _AUTH_TYPES[type(settings.auth)]
    return ConnectionConfigError(
        f"Connection {conn_id!r} has auth_type {kind}, which stores no grant",
        conn_id=conn_id,
        field="auth_type",
        hint="airflow oauth login, status, refresh and revoke work on connections with auth_type oauth2; "
        f"try this one with: airflow connections test {conn_id}",
        where="",
    )
