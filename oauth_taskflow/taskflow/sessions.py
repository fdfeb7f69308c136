"""Connection → ``OAuthSession``: the one place where tokens, credentials and sessions are joined."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict

from requests.auth import AuthBase

from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, NoAuth, OAuth2Auth
from oauth_taskflow.api.options import AbsentRecords, ResponseRule
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.connections.api_address import located
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    ConnectionSettings,
    LoginSettings,
    OAuth2Settings,
    TokenHeader,
)
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.masking_source import MaskingTokenSource
from oauth_taskflow.oauth.request_proof import ProvedTokens
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow.broker.client import ask_broker
from oauth_taskflow.taskflow.broker.token_source import BrokerTokenSource
from oauth_taskflow.taskflow.certificate import check_certificate
from oauth_taskflow.taskflow.connection_source import load_settings, read_settings
from oauth_taskflow.taskflow.reread import RereadConnection
from oauth_taskflow.taskflow.token_sources import login_source, oauth2_source
from oauth_taskflow.tokens.state.record import moved


def open_session(conn_id: str) -> OAuthSession:
    """A session for the Connection ``conn_id``, in a task as in a plain script. Close it after use.

    Nothing is requested yet: the first call fetches a token. Only where nothing but the token response names the API's
    address (some presets), a token is fetched here.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
        TokenStoreError: tokens cannot be kept safely.
    """
    return session_for(load_settings(conn_id))


def session_for(settings: ConnectionSettings) -> OAuthSession:
    """A session for checked settings.

    Raises:
        ConnectionConfigError: a rotating grant cannot be kept where the configuration says.
        TokenStoreError: tokens cannot be kept safely.
    """
    settings = addressed(settings)
    return OAuthSession(settings.base_url, credentials_for(settings), **session_options(settings))


class SessionOptions(TypedDict):
    """What both kinds of session take beside address and credentials."""

    allowed_origins: tuple[str, ...]
    timeout: float | tuple[float, float]
    headers: Mapping[str, str]
    retry: RetryPolicy
    responses: tuple[ResponseRule, ...]
    limits: AnswerLimits
    absent_records: AbsentRecords
    conn_id: str
    verify: bool | str
    cert: str | tuple[str, str] | None
    proxies: Mapping[str, str]


def session_options(settings: ConnectionSettings) -> SessionOptions:
    """How a session talks to the API of ``settings``.

    Raises:
        ConnectionConfigError: the client certificate cannot be used.
    """
    check_certificate(settings, settings.base_url)
    return SessionOptions(
        allowed_origins=settings.allowed_origins,
        timeout=settings.timeout,
        headers=settings.api_headers,
        retry=retry_policy(settings),
        responses=settings.api_responses,
        limits=settings.limits,
        absent_records=settings.absent_records,
        conn_id=settings.conn_id,
        verify=settings.verify,
        cert=settings.cert,
        proxies=settings.proxies,
    )


def retry_policy(settings: ConnectionSettings) -> RetryPolicy:
    """The session's retries, which read the rate-limit header of the connection's provider."""
    limit = settings.rate_limit
    if limit is None:
        return RetryPolicy()
    return RetryPolicy(reset=limit.reset, reset_header=limit.reset_header)


def addressed(settings: ConnectionSettings) -> ConnectionSettings:
    """``settings`` with the API's base URL. Fetches a token when only its response names the URL.

    Raises:
        ConnectionConfigError: the response names no address that the preset expects.
        TokenRequestError: no token could be had.
        TokenStoreError: tokens cannot be kept safely.
    """
    return settings if settings.base_url else located(settings, token_source(settings))


def token_source(settings: ConnectionSettings, *, brokered: bool = False) -> TokenSource | None:
    """Who hands out tokens for ``settings``; None for kinds that need none.

    Tokens are announced as secrets before they are returned.

    ``brokered`` is for the broker, who refreshes for all workers.
    """
    auth = settings.auth
    if isinstance(auth, OAuth2Settings):
        if brokered:  # it reads the connection anew for every question
            return MaskingTokenSource(_proved_source(settings, auth, brokered=True))
        open_source = partial(_proved_source, open_session=open_session)
        return MaskingTokenSource(RereadConnection(settings, auth, open_source))
    if isinstance(auth, BrokeredSettings):
        return MaskingTokenSource(_broker_source(settings.conn_id, auth))
    if isinstance(auth, LoginSettings):
        return MaskingTokenSource(login_source(settings, auth))
    return None


def credentials_for(settings: ConnectionSettings) -> AuthBase:
    """What signs the requests to the API of ``settings``; raises as ``session_for`` does."""
    auth = settings.auth
    if isinstance(auth, OAuth2Settings | LoginSettings | BrokeredSettings):
        source = token_source(settings)
        assert source is not None
        header = auth.token_header
        origins = (settings.base_url, *settings.allowed_origins)
        return OAuth2Auth(
            source,
            header=header.name,
            scheme=header.scheme,
            origins=origins,
            proof=getattr(auth, "request_proof", None),
        )
    if isinstance(auth, BearerSettings):
        return _static(auth.token, auth.token_header)
    if isinstance(auth, ApiKeySettings):
        return ApiKeyAuth(auth.name, auth.key, placement=auth.placement, prefix=auth.prefix)
    if isinstance(auth, BasicSettings):
        return BasicAuth(auth.login, auth.password)
    return NoAuth()


def _proved_source(
    settings: ConnectionSettings, auth: OAuth2Settings, **options: Any
) -> TokenSource:
    """``oauth2_source``, whose tokens have the proof that this provider's API wants beside them."""
    source, proof = oauth2_source(settings, auth, **options), auth.request_proof
    return source if proof is None else ProvedTokens(source, proof, auth.client_secret)


def _broker_source(conn_id: str, auth: BrokeredSettings) -> BrokerTokenSource:
    def ask(refused: str | None) -> Token:
        answer = read_settings(ask_broker(conn_id, refused)).auth
        if not isinstance(answer, BrokeredSettings):
            raise ConnectionConfigError(
                "The connection is no longer brokered", conn_id=conn_id, hint="Run the task again."
            )
        return _token_of(answer)

    return BrokerTokenSource(conn_id, _token_of(auth), ask, leeway=auth.leeway)


def _token_of(auth: BrokeredSettings) -> Token:
    """The token with its instants on this machine's clock; the answer has just arrived."""
    token = Token(auth.token, auth.obtained_at, auth.expires_at, proof=auth.proof)
    return moved(token, SYSTEM_CLOCK.now() - auth.answered_at)


def _static(token: str, header: TokenHeader) -> AuthBase:
    prefix = f"{header.scheme} " if header.scheme else ""
    return ApiKeyAuth(header.name, token, prefix=prefix)
