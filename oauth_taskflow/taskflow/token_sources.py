"""Settings → token sources: the token manager for grants, a login for session connections."""

from __future__ import annotations

from oauth_taskflow.oauth.token import TokenSource
from oauth_taskflow.taskflow.settings import ConnectionSettings, LoginSettings, OAuth2Settings


def oauth2_source(settings: ConnectionSettings, auth: OAuth2Settings) -> TokenSource:
    """The token manager of a grant."""
    raise NotImplementedError(settings, auth)


def login_source(settings: ConnectionSettings, auth: LoginSettings) -> TokenSource:
    """A login request whose answer holds the token."""
    raise NotImplementedError(settings, auth)
