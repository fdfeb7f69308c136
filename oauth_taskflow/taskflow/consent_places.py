"""One connection's grant with everything a person's command needs: store, endpoint and the places of consent."""

from __future__ import annotations

from dataclasses import dataclass

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.authorization_code import AuthorizationServer
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.token_endpoint import TokenEndpoint
from oauth_taskflow.taskflow.connection_source import load_settings
from oauth_taskflow.taskflow.consent_settings import ConsentSettings
from oauth_taskflow.taskflow.masking import mask
from oauth_taskflow.taskflow.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.taskflow.token_sources import grant, oauth2_source, token_endpoint
from oauth_taskflow.tokens.manager import TokenManager


@dataclass(frozen=True)
class ManagedGrant:
    """The grant of the Connection ``conn_id``. Its secrets are masked."""

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
        """Where consent is asked for and ended."""
        return self.auth.consent

    @property
    def options(self) -> GrantOptions:
        """Scope, audience, resources and what else the connection adds to requests."""
        return grant(self.auth).options

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server as a login sees it.

        Raises:
            ConnectionConfigError: it has no authorization endpoint.
        """
        return AuthorizationServer(self.place("authorize_url"))

    def place(self, name: str) -> str:
        """The URL of the connection's key ``name``.

        Raises:
            ConnectionConfigError: it is not configured.
        """
        url: str = getattr(self.consent, name)
        if not url:
            raise self.error("This endpoint is missing", name, "Put its URL into extra.")
        return url

    def error(self, what: str, field: str, hint: str) -> ConnectionConfigError:
        """The error that blames ``field`` of the connection."""
        return ConnectionConfigError(what, conn_id=self.conn_id, field=field, hint=hint)


def managed_grant(conn_id: str) -> ManagedGrant:
    """The grant of the Connection ``conn_id``; nothing is requested yet.

    Raises:
        ConnectionConfigError: the connection is missing or wrong, or of a kind that stores no grant.
        TokenStoreError: the token store or its keys are unusable.
    """
    settings = load_settings(conn_id)
    mask(settings.secrets)
    if not isinstance(settings.auth, OAuth2Settings):
        raise ConnectionConfigError(
            "Connections of this kind keep no grant",
            conn_id=conn_id,
            field="auth_type",
            hint="These commands are for auth_type oauth2.",
        )
    manager = oauth2_source(settings, settings.auth)
    endpoint = token_endpoint(settings, settings.auth)
    return ManagedGrant(settings, settings.auth, endpoint, manager)
