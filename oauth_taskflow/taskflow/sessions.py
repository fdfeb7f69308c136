"""Connection → session. This module is the composition root: tokens, observers, credentials and sessions meet here only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from msgspec import Struct

from oauth_taskflow.api.additions import AddingAuth, Additions
from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, Credentials, NoAuth, OAuth2Auth
from oauth_taskflow.api.pull.records import AbsentRecords
from oauth_taskflow.api.rate_limit import GateKeeper
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.api.tls_files import check_certificate
from oauth_taskflow.budgets.answer_headers import LimitHeaders
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.connections.api_address import with_base_url
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    AwsSettings,
    BasicSettings,
    BearerSettings,
    BrokeredSettings,
    ConnectionSettings,
    LoginSettings,
    OAuth2Settings,
    SelfSignedSettings,
    TokenPlace,
)
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.masking_source import MaskingTokenSource
from oauth_taskflow.oauth.request_proof import ProofTokenSource
from oauth_taskflow.oauth.self_signed import SelfSignedTokenSource
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow import metrics
from oauth_taskflow.taskflow.broker.client import ask_broker
from oauth_taskflow.taskflow.connection_lookup import load_settings, read_settings
from oauth_taskflow.taskflow.reloading_source import ReloadingTokenSource
from oauth_taskflow.taskflow.token_sources import (
    login_source,
    manager_of,
    store_for,
)
from oauth_taskflow.tokens.events import Event
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import shift_clock

if TYPE_CHECKING:
    from oauth_taskflow.api.aio.session import AsyncOAuthSession
    from oauth_taskflow.budgets.store import BudgetStore
    from oauth_taskflow.taskflow.broker.token_source import BrokerTokenSource
    from oauth_taskflow.taskflow.grants.write_back import WriteBack
    from oauth_taskflow.tokens.store import TokenStore


def open_session(conn_id: str) -> OAuthSession:
    """Returns a session for the Connection ``conn_id``, in a task or a script. Close it after use.

    Nothing is requested yet: the first call fetches a token. Only where nothing but the token response names the API's
    address (some presets), a token is fetched here.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
        TokenStoreError: tokens cannot be kept safely.
    """
    return session_for(load_settings(conn_id))


def session_for(
    settings: ConnectionSettings, *, retry: RetryPolicy | None = None, brokered: bool = False
) -> OAuthSession:
    """A session for checked settings, with ``retry`` in place of the connection's policy.

    ``brokered`` is for the API server in broker mode, which refreshes for all workers.

    Raises:
        ConnectionConfigError: a rotating grant cannot be kept where the configuration says.
        TokenStoreError: tokens cannot be kept safely.
    """
    settings, credentials = _connect(settings, brokered=brokered)
    options = session_options(settings)
    if retry is not None:
        options["retry"] = retry
    return OAuthSession(settings.base_url, credentials, **options)


async def open_async_session(conn_id: str) -> AsyncOAuthSession:
    """An async session for the Connection ``conn_id``, in a task, trigger or script. Close it after use.

    Airflow's own calls that look a connection up or mask a secret wait for the supervisor. A worker thread may wait; on
    the event loop's own thread the calls would end in ``DeadlockImminentError``.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
        TokenStoreError: tokens cannot be kept safely.
    """
    return await asyncio.to_thread(lambda: async_session_for(load_settings(conn_id)))


def async_session_for(settings: ConnectionSettings) -> AsyncOAuthSession:
    """An async session for checked settings. It blocks, so call it in a thread; raises as ``session_for`` does."""
    from oauth_taskflow.api.aio.session import AsyncOAuthSession  # noqa: PLC0415 - loads httpx

    settings, credentials = _connect(settings)
    return AsyncOAuthSession(settings.base_url, credentials, **session_options(settings))


def resolve_base_url(settings: ConnectionSettings) -> ConnectionSettings:
    """``settings`` with the API's base URL. Fetches a token if only its response names the URL.

    Raises:
        ConnectionConfigError: the response names no address that the preset expects.
        TokenRequestError: a token could not be fetched.
        TokenStoreError: tokens cannot be kept safely.
    """
    return settings if settings.base_url else _locate(settings, token_source(settings))


def _connect(
    settings: ConnectionSettings, *, brokered: bool = False
) -> tuple[ConnectionSettings, Credentials]:
    """``settings`` with the API's base URL, and what signs the requests to it."""
    source = token_source(settings, brokered=brokered)
    settings = _locate(settings, source)
    return settings, _credentials(settings, source)


def _locate(settings: ConnectionSettings, source: TokenSource | None) -> ConnectionSettings:
    if settings.base_url or source is None:
        return settings
    return with_base_url(settings, source.token())


class SessionOptions(TypedDict):
    """The arguments that both kinds of session take besides address and credentials."""

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
    budgets: GateKeeper


def session_options(settings: ConnectionSettings) -> SessionOptions:
    """The options of a session with the API of ``settings``.

    Raises:
        ConnectionConfigError: the client certificate cannot be used.
    """
    check_certificate(settings.cert, settings.base_url, settings.conn_id)
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
        budgets=budgets_of(settings),
    )


def budgets_of(settings: ConnectionSettings) -> Budgets:
    """The request budgets of the connection, to which specs add theirs; nothing is opened yet."""
    limit = settings.rate_limit
    return Budgets(
        lambda: _open_budget_store(settings),
        BudgetSet(settings.conn_id, settings.budgets),
        base_url=settings.base_url,
        headers=LimitHeaders(reset=limit.reset_header if limit else ""),
    )


def _open_budget_store(settings: ConnectionSettings) -> BudgetStore:
    from oauth_taskflow.taskflow.broker.budget_stores import (  # noqa: PLC0415 - most connections have no budget
        budget_store_for,
    )

    return budget_store_for(settings)


def retry_policy(settings: ConnectionSettings) -> RetryPolicy:
    """The session's retries, which read the rate-limit header of the connection's provider."""
    limit = settings.rate_limit
    if limit is None:
        return RetryPolicy()
    return RetryPolicy(reset=limit.reset, reset_header=limit.reset_header)


def token_source(settings: ConnectionSettings, *, brokered: bool = False) -> TokenSource | None:
    """The source of tokens for ``settings``; None for kinds that need none.

    Tokens are announced as secrets before they are returned. ``brokered`` is for the broker, which refreshes for all
    workers.
    """
    auth = settings.auth
    if isinstance(auth, OAuth2Settings):
        if brokered:  # it reads the connection again for every question
            return MaskingTokenSource(_grant_source(settings, auth, brokered=True))
        return MaskingTokenSource(ReloadingTokenSource(settings, auth, _grant_source))
    if isinstance(auth, BrokeredSettings):
        return MaskingTokenSource(_broker_source(settings.conn_id, auth))
    if isinstance(auth, LoginSettings):
        return MaskingTokenSource(login_source(settings, auth))
    if isinstance(auth, SelfSignedSettings):
        return MaskingTokenSource(SelfSignedTokenSource(auth.jwt, auth.leeway))
    return None


def token_manager(
    settings: ConnectionSettings, auth: OAuth2Settings, *, brokered: bool = False
) -> TokenManager:
    """The token manager of a grant with its observers, one per grant and process.

    The broker (``brokered``) may keep a rotating grant in a file: tasks elsewhere ask it and never open the file.

    Raises:
        ConnectionConfigError: a rotating grant would be kept in a file that other machines do not see.
        TokenStoreError: the store or its keys are unusable.
    """
    store = store_for(settings, auth, brokered=brokered)
    write_back = _open_write_back(store) if auth.write_back else None
    return manager_of(settings, auth, store, _Observer(write_back))


def _open_write_back(store: TokenStore) -> WriteBack:
    from oauth_taskflow.taskflow.grants.write_back import WriteBack  # noqa: PLC0415 - rarely wanted

    return WriteBack(store, open_session)


class _Observer(Struct, frozen=True):
    """Observes a token manager. Equal observers do the same, so that sessions share one manager."""

    write_back: WriteBack | None

    def __call__(self, event: Event) -> None:
        metrics.observe(event)
        if self.write_back is not None:
            self.write_back.observe(event)


def _grant_source(
    settings: ConnectionSettings, auth: OAuth2Settings, *, brokered: bool = False
) -> TokenSource:
    """The token manager; its tokens have the proof that this provider's API wants with them."""
    source, proof = token_manager(settings, auth, brokered=brokered), auth.request_proof
    return source if proof is None else ProofTokenSource(source, proof, auth.client_secret)


def _broker_source(conn_id: str, auth: BrokeredSettings) -> BrokerTokenSource:
    from oauth_taskflow.taskflow.broker.token_source import (  # noqa: PLC0415 - for broker mode
        BrokerTokenSource,
    )

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
    return shift_clock(token, SYSTEM_CLOCK.now() - auth.answered_at)


def _credentials(settings: ConnectionSettings, source: TokenSource | None) -> Credentials:
    """The credentials that sign requests to the API of ``settings``, with what the connection adds to each."""
    added = Additions(settings.api_params, settings.api_body, settings.url_secrets)
    credentials = _plain_credentials(settings, source)
    return AddingAuth(credentials, added) if added else credentials


def _plain_credentials(settings: ConnectionSettings, source: TokenSource | None) -> Credentials:
    auth = settings.auth
    if isinstance(auth, OAuth2Settings | LoginSettings | SelfSignedSettings | BrokeredSettings):
        assert source is not None
        place = auth.token_place
        origins = (settings.base_url, *settings.allowed_origins)
        return OAuth2Auth(
            source,
            header=place.name,
            scheme=place.scheme,
            param=place.param,
            origins=origins,
            proof=getattr(auth, "request_proof", None),
        )
    if isinstance(auth, BearerSettings):
        return _static(auth.token, auth.token_place)
    if isinstance(auth, ApiKeySettings):
        return ApiKeyAuth(auth.name, auth.key, placement=auth.placement, prefix=auth.prefix)
    if isinstance(auth, AwsSettings):
        return _sign_for_aws(auth, settings.conn_id)
    if isinstance(auth, BasicSettings):
        return BasicAuth(auth.login, auth.password)
    return NoAuth()


def _sign_for_aws(auth: AwsSettings, conn_id: str) -> Credentials:
    from oauth_taskflow.api.aws_sigv4 import AwsKeys, AwsSigV4Auth  # noqa: PLC0415 - its own kind

    keys = AwsKeys(auth.access_key_id, auth.secret_access_key, auth.session_token, auth.profile)
    return AwsSigV4Auth(keys, region=auth.region, service=auth.service, conn_id=conn_id)


def _static(token: str, place: TokenPlace) -> ApiKeyAuth:
    if place.param:
        return ApiKeyAuth(place.param, token, placement="query")
    prefix = f"{place.scheme} " if place.scheme else ""
    return ApiKeyAuth(place.name, token, prefix=prefix)
