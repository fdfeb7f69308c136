"""Connection → ``OAuthSession``: the one place where tokens, credentials and sessions are joined."""

from __future__ import annotations

from requests.auth import AuthBase

from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, NoAuth, OAuth2Auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.oauth.token import TokenSource
from oauth_taskflow.taskflow.connection_source import load_settings
from oauth_taskflow.taskflow.masking import MaskedTokens, mask
from oauth_taskflow.taskflow.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    ConnectionSettings,
    LoginSettings,
    OAuth2Settings,
    TokenHeader,
)
from oauth_taskflow.taskflow.token_sources import login_source, oauth2_source


def open_session(conn_id: str) -> OAuthSession:
    """A session for the Connection ``conn_id``, in a task as in a plain script. Close it after use.

    Nothing is requested yet: the first call fetches a token.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
        TokenStoreError: tokens cannot be kept safely.
    """
    return session_for(load_settings(conn_id))


def session_for(settings: ConnectionSettings) -> OAuthSession:
    """A session for checked settings; their secrets are masked first.

    Raises:
        ConnectionConfigError: a rotating grant cannot be kept where the configuration says.
        TokenStoreError: tokens cannot be kept safely.
    """
    mask(settings.secrets)
    return OAuthSession(
        settings.base_url,
        _auth(settings),
        allowed_origins=settings.allowed_origins,
        timeout=settings.timeout,
        headers=settings.api_headers,
        conn_id=settings.conn_id,
        verify=settings.verify,
        cert=settings.cert,
        proxies=settings.proxies,
    )


def token_source(settings: ConnectionSettings) -> TokenSource | None:
    """Who hands out tokens for ``settings``; None for kinds that need none. Tokens are masked before they are seen."""
    auth = settings.auth
    if isinstance(auth, OAuth2Settings):
        return MaskedTokens(oauth2_source(settings, auth))
    if isinstance(auth, LoginSettings):
        return MaskedTokens(login_source(settings, auth))
    return None


def _auth(settings: ConnectionSettings) -> AuthBase:
    auth = settings.auth
    if isinstance(auth, OAuth2Settings | LoginSettings):
        source = token_source(settings)
        assert source is not None
        header = auth.token_header
        origins = (settings.base_url, *settings.allowed_origins)
        return OAuth2Auth(source, header=header.name, scheme=header.scheme, origins=origins)
    if isinstance(auth, BearerSettings):
        return _static(auth.token, auth.token_header)
    if isinstance(auth, ApiKeySettings):
        return ApiKeyAuth(auth.name, auth.key, placement=auth.placement, prefix=auth.prefix)
    if isinstance(auth, BasicSettings):
        return BasicAuth(auth.login, auth.password)
    return NoAuth()


def _static(token: str, header: TokenHeader) -> AuthBase:
    prefix = f"{header.scheme} " if header.scheme else ""
    return ApiKeyAuth(header.name, token, prefix=prefix)
