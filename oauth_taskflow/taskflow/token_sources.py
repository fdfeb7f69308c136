"""Builds token sources from settings: token managers for grants, logins for session connections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from oauth_taskflow import secret_registry
from oauth_taskflow.api.tls_files import check_certificate
from oauth_taskflow.connections.preset import join_scopes
from oauth_taskflow.connections.settings import (
    ConnectionSettings,
    LoginSettings,
    OAuth2Settings,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dialect import Dialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint, TransportOptions
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, GrantOptions, RefreshToken
from oauth_taskflow.taskflow.config import (
    fernet_keys,
    refuse_local_rotation,
    store_url,
)
from oauth_taskflow.tokens.events import Observer
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.registry import manager_for, open_store
from oauth_taskflow.tokens.state.consent import RefreshLifetimes
from oauth_taskflow.tokens.store import TokenStore

if TYPE_CHECKING:
    from oauth_taskflow.api.login_source import LoginTokenSource


def store_for(
    settings: ConnectionSettings, auth: OAuth2Settings, *, brokered: bool = False
) -> TokenStore:
    """The configured token store, if it may keep the grant of ``auth``.

    The broker (``brokered``) may keep a rotating grant in a file: tasks elsewhere ask it and never open the file.

    Raises:
        ConnectionConfigError: a rotating grant would be kept in a file that other machines do not see.
        TokenStoreError: the store or its keys are unusable.
    """
    url = store_url()
    rotates = auth.preset.resend_window_s != math.inf
    if auth.grant_type == "refresh_token" and rotates and not brokered:
        refuse_local_rotation(settings.conn_id, url)
    return open_store(url, fernet_keys())


def manager_of(
    settings: ConnectionSettings, auth: OAuth2Settings, store: TokenStore, observer: Observer
) -> TokenManager:
    """The token manager of a grant, one per grant and process.

    Raises:
        ConnectionConfigError: the client certificate cannot be used.
        TokenStoreError: a key of the store is unusable.
    """
    traded = grant(auth)
    return manager_for(
        store,
        token_endpoint(settings, auth),
        traded,
        subject=traded.subject_key,
        options=_options(auth),
        observer=observer,
    )


def _options(auth: OAuth2Settings) -> ManagerOptions:
    rules = auth.preset.refresh
    lifetimes = RefreshLifetimes(
        idle=rules.idle_lifetime_s,
        absolute=rules.absolute_lifetime_s,
        path=rules.lifetime_path or "",
    )
    return ManagerOptions(
        leeway=auth.leeway,
        resend_window=auth.preset.resend_window_s,
        serve_stale=auth.grant_type != "refresh_token" or not rules.kills_access_token,
        refresh_lifetimes=lifetimes,
    )


def token_endpoint(settings: ConnectionSettings, auth: OAuth2Settings) -> TokenEndpoint:
    """Returns the token endpoint of ``settings``.

    Raises:
        ConnectionConfigError: the client certificate cannot be used there.
    """
    check_certificate(settings.cert, auth.token_url or auth.issuer, settings.conn_id)
    # verify: false is meant for the API. Here the secret itself travels: certificates are always checked.
    transport = TransportOptions(
        verify=settings.verify or True, cert=settings.cert, proxies=settings.proxies
    )
    in_assertion = auth.preset.request.scope_in_assertion
    client = Client(
        auth.client_id, auth.client_secret, auth.signer, in_assertion, auth.client_assertion
    )
    endpoint = TokenEndpoint(
        url=auth.token_url or auth.issuer,
        client=client,
        client_auth=auth.client_auth,
        conn_id=settings.conn_id,
        transport=transport,
        dialect=_dialect(auth),
        dpop=auth.dpop,
        introspect_url=auth.introspect_url,
        hide=secret_registry.add_in_transit,
    )
    if not auth.token_url:
        from oauth_taskflow.oauth.endpoint.discovered_endpoint import (  # noqa: PLC0415 - its own kind
            DiscoveredEndpoint,
        )

        return DiscoveredEndpoint.from_endpoint(endpoint, choose_auth=auth.choose_auth)
    other = _other_method(auth)
    if not other:
        return endpoint
    from oauth_taskflow.oauth.endpoint.client_auth_fallback import (  # noqa: PLC0415 - as above
        FallbackClientAuth,
    )

    return FallbackClientAuth.from_endpoint(endpoint, other_auth=other)


def _other_method(auth: OAuth2Settings) -> str:
    """Returns the second method that the provider's preset lists for a client secret, if the first is in use; else empty."""
    first, *others = auth.preset.client_auth
    if auth.client_auth != first or not _sends_secret(first) or not auth.client_secret:
        return ""
    return next(filter(_sends_secret, others), "")


def _sends_secret(name: str) -> bool:
    method = CLIENT_AUTH_METHODS[name]
    return method.needs == "secret" and not method.signs


def _dialect(auth: OAuth2Settings) -> Dialect:
    """Returns the provider's dialect. It asks a configured introspection endpoint if nothing else states the expiry."""
    dialect = auth.preset.dialect
    response = dialect.response
    if not auth.introspect_url or response.expiry.source != "auto":
        return dialect
    expiry = msgspec.structs.replace(response.expiry, source="introspection")
    return msgspec.structs.replace(
        dialect, response=msgspec.structs.replace(response, expiry=expiry)
    )


def grant(auth: OAuth2Settings) -> Grant:
    """Returns the grant that is exchanged for a token."""
    options = grant_options(auth, auth.grant_type)
    if auth.grant_type == "refresh_token":
        return RefreshToken(auth.refresh_token, options)
    if auth.grant is not None:
        return auth.grant.with_options(options)
    return ClientCredentials(options)


def grant_options(auth: OAuth2Settings, grant_type: str) -> GrantOptions:
    """Returns scope and parameters for a grant of that type, from the connection, else from the provider's preset."""
    preset, refreshing = auth.preset, grant_type == "refresh_token"
    scopes = () if refreshing and not preset.scope_on_refresh else preset.default_scopes
    offline = preset.offline_scopes if grant_type in {"authorization_code", "device_code"} else ()
    named = auth.scope or join_scopes(" ".join(scopes), preset)
    added = [scope for scope in offline if scope not in named.replace(",", " ").split()]
    phase = preset.params.refresh if refreshing else preset.params.token
    return GrantOptions(
        scope=join_scopes(" ".join([named, *added]).strip(), preset),
        audience=auth.audience,
        resource=auth.resource,
        params={**phase, **auth.token_params},
        headers=auth.token_headers,
        body=auth.token_body,
    )


_logins: dict[str, tuple[ConnectionSettings, LoginTokenSource]] = {}


def login_source(settings: ConnectionSettings, auth: LoginSettings) -> LoginTokenSource:
    """Returns the login of ``settings``; sessions of one process share it while the connection stays the same."""
    from oauth_taskflow.api.login_source import Login, LoginTokenSource  # noqa: PLC0415 - its own kind

    known = _logins.get(settings.conn_id)
    if known is not None and known[0] == settings:
        return known[1]
    login = Login(
        url=auth.url,
        method=auth.method,
        basic=auth.basic,
        params=auth.params,
        fields=auth.fields,
        body=auth.body,
        headers=auth.headers,
        token_path=auth.token_path,
        expires_path=auth.expires_path,
        lifetime=auth.token_lifetime,
        leeway=auth.leeway,
        timeout=settings.timeout,
        verify=settings.verify,
        cert=settings.cert,
        proxies=settings.proxies,
        conn_id=settings.conn_id,
        url_secrets=settings.url_secrets,
    )
    source = LoginTokenSource(login)
    _logins[settings.conn_id] = settings, source
    return source
