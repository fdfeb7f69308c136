"""The steps of a person's consent: prepare it, build its address, trade the code, store the result.

``airflow oauth login`` takes them in one process. The page takes them in several requests, which several API servers may
answer. Nothing here prints.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from oauth_taskflow import secret_registry
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError, TokenUndecryptable
from oauth_taskflow.oauth.endpoint.outcomes import Granted, NotProcessed, Unusable
from oauth_taskflow.oauth.endpoint.retries import PauseObserver, exchange_with_retries, ignore_pause
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.login.authorization import (
    STATE_LIFETIME,
    Authorization,
    AuthorizationCode,
    Verifier,
    push,
)
from oauth_taskflow.oauth.masking_source import token_secrets
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant
from oauth_taskflow.taskflow.grants.revocation import revoke_tokens
from oauth_taskflow.taskflow.grants.write_back import write_back
from oauth_taskflow.tokens.state.no_refresh_token import NO_REFRESH_TOKEN
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.stored_grant import ArrivingConsent


class ConsentResult(SecretValue, frozen=True):
    """The result of a person's consent, and the keeper of the response that held it."""

    outcome: Granted | Unusable
    arriving: Hidden[ArrivingConsent]


def refuse_without_consent(grant: ManagedGrant) -> None:
    """Let only connections pass that a person must authorize.

    Raises:
        ConnectionConfigError: the grant of this one needs no consent.
    """
    if grant.auth.grant_type != "refresh_token":
        raise ConnectionConfigError(
            f"Connection {grant.conn_id!r} uses the grant {grant.auth.grant_type}, which needs no consent of a person",
            conn_id=grant.conn_id,
            field="grant_type",
            hint="Set grant_type in extra to authorization_code to let a person consent.",
            where="",
        )


def find_revocation_url(grant: ManagedGrant) -> str:
    """The URL that ends the old grant after a new one is stored.

    Raises:
        ConnectionConfigError: there is none, or it would end the new grant too.
    """
    if grant.revocation.ends_consent:
        raise grant.error(
            "This provider ends every grant of person and client at once, a new one too",
            "revoke_url",
            f"Run airflow oauth revoke {grant.conn_id} first, then log in without --revoke-old.",
        )
    return grant.endpoint_url("revoke_url")


def check_store(grant: ManagedGrant) -> TokenUndecryptable | None:
    """Fail before a person consents in vain; the reason why the grant that will be replaced cannot be read, if so.

    Raises:
        TokenStoreError: a new grant could not be stored.
    """
    try:
        grant.manager.stored.read()
    except TokenUndecryptable as failure:
        return failure
    return None


def bind_attempt(grant: ManagedGrant) -> str:
    """A hash of what a person consents to: neither answer nor tokens go elsewhere because the connection was edited.

    It holds the facts of all ``ADDRESS_KEYS`` of ``connections.drafts.stored`` except ``revoke_url``, which gets nothing of
    this consent.
    """
    settings, auth, consent = grant.settings, grant.auth, grant.consent
    facts = [
        grant.manager.grant_key,
        grant.endpoint.url,
        *(consent.authorize_url, consent.device_url, consent.par_url, consent.issuer),
        *(consent.redirect_uri, auth.introspect_url, auth.preset.title),
        *(settings.base_url, settings.base_url_from, settings.allowed_origins),
        *(settings.verify, dict(settings.proxies)),
    ]
    text = json.dumps(to_builtins(facts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def start_attempt(grant: ManagedGrant, redirect_uri: str) -> Authorization:
    """A new attempt, whose answer comes to ``redirect_uri``.

    Raises:
        ConnectionConfigError: the authorization endpoint is missing.
    """
    return _build_attempt(grant, redirect_uri, {})


def resume_attempt(
    grant: ManagedGrant, redirect_uri: str, *, state: str, verifier: str, age: float
) -> Authorization:
    """The attempt that began ``age`` seconds ago, perhaps in another process; ``grant`` has its DPoP key.

    Raises:
        ConnectionConfigError: the authorization endpoint is missing.
    """
    began = SYSTEM_CLOCK.monotonic() - age
    own = {"state": state, "verifier": Verifier(verifier), "began": began}
    return _build_attempt(grant, redirect_uri, own)


def _build_attempt(grant: ManagedGrant, redirect_uri: str, own: dict[str, Any]) -> Authorization:
    attempt = Authorization(
        server=grant.server,
        client_id=grant.auth.client_id,
        redirect_uri=redirect_uri,
        options=grant.options,
        params=grant.consent.params,
        conn_id=grant.conn_id,
        request=grant.auth.preset.request,
        code_name=grant.auth.preset.response.code,
        pkce=_uses_pkce(grant.auth),
        dpop_jkt=grant.endpoint.dpop_jkt,
        **own,
    )
    _mask_for_a_while(attempt.verifier.value)
    return attempt


def _uses_pkce(auth: OAuth2Settings) -> bool:
    public = auth.client_auth == "none"
    return {"public": public, "off": False}.get(auth.preset.pkce, True)


def build_url(grant: ManagedGrant, attempt: Authorization) -> str:
    """The address for the person's browser; the request is pushed first where there is an endpoint for that (RFC 9126).

    Raises:
        OAuthTaskflowError: the server refused the pushed request or was not reached.
    """
    par_url = grant.find_endpoint_url("par_url")
    return push(grant.endpoint, par_url, attempt) if par_url else attempt.url


def expect_answer(grant: ManagedGrant, by: str) -> tuple[TokenEndpoint, ArrivingConsent]:
    """The token endpoint of ``grant``, and the keeper of its answers; ``by`` names the user who asked for the consent."""
    key = grant.endpoint.dpop_key
    arriving = grant.manager.stored.expect_consent(by=by, dpop_key=key)
    return replace(grant.endpoint, keep=arriving.keep), arriving


def trade_code(
    grant: ManagedGrant,
    code: AuthorizationCode,
    *,
    by: str = "",
    on_pause: PauseObserver = ignore_pause,
) -> ConsentResult:
    """Trade ``code`` for tokens. It works once, so a lost answer is not asked for again.

    ``by`` names the user who asked for the consent. ``on_pause`` is called before each wait for a busy server.

    Raises:
        OAuthTaskflowError: the server refused or was not reached.
    """
    traded = try_trade(grant, code, by=by, on_pause=on_pause)
    if isinstance(traded, NotProcessed):
        raise traded.error
    return traded


def try_trade(
    grant: ManagedGrant,
    code: AuthorizationCode,
    *,
    by: str,
    longest_pause: float = math.inf,
    on_pause: PauseObserver = ignore_pause,
) -> ConsentResult | NotProcessed:
    """As ``trade_code``, which waits for a busy server as long as a token request may take.

    It ends early where the server asks for a pause above ``longest_pause`` seconds. After ``NotProcessed`` the code may be
    sent again.

    Raises:
        OAuthTaskflowError: the server refused, or it is unknown whether it took the code.
    """
    _mask_for_a_while(code.code)
    endpoint, arriving = expect_answer(grant, by)
    outcome = exchange_with_retries(
        lambda budget: endpoint.exchange(code, budget=budget),
        single_use=True,
        clock=endpoint.clock,
        budget=endpoint.transport.timeouts.total,
        longest_pause=longest_pause,
        on_pause=on_pause,
    )
    if not isinstance(outcome, Granted | Unusable):
        arriving.drop()
        if isinstance(outcome, NotProcessed):
            return outcome
        if _lacks_address(outcome.error):
            return NotProcessed(outcome.error)
        raise outcome.error
    return mask_result(outcome, arriving)


def may_pass(error: OAuthTaskflowError) -> bool:
    """Whether the step that raised ``error`` may succeed a while later, although nothing is changed."""
    return error.retryable or _lacks_address(error)


def _lacks_address(error: OAuthTaskflowError) -> bool:
    """Whether the connection or the metadata of its issuer were not found for now: nothing was sent."""
    return isinstance(error, ConnectionConfigError) and error.may_pass


def mask_result(outcome: Granted | Unusable, arriving: ArrivingConsent) -> ConsentResult:
    """``outcome`` with the keeper of its response; its tokens are announced as secrets."""
    tokens = token_secrets(outcome.token) if isinstance(outcome, Granted) else ()
    secret_registry.add([*tokens, outcome.refresh_token or "", *outcome.others])
    return ConsentResult(outcome, arriving)


def _mask_for_a_while(secret: str) -> None:
    secret_registry.add([secret], until=SYSTEM_CLOCK.now() + STATE_LIFETIME)


def store_result(
    grant: ManagedGrant,
    agreed: ConsentResult,
    report: Callable[[str], None],
    *,
    revoke_old: bool = False,
    copy_back: bool = False,
) -> GrantRecord:
    """Store the result of a consent, which replaces the old grant; ``report`` gets sentences for the person.

    Afterwards the old grant is revoked if ``revoke_old`` is set, and the refresh token copied into the connection if
    ``copy_back`` is set. A failure there is only reported: the grant is stored.

    Raises:
        InvalidTokenResponse: the response holds no usable token. If it may hold a refresh token, it is stored for the
            corrected connection.
        TokenStoreError: the store failed; the response is in a file, from which this machine stores it later.
    """
    before, record = agreed.arriving.store(granted := agreed.outcome)
    assert isinstance(granted, Granted), "any other outcome raises"
    for sentence in _describe_grant(grant, granted):
        report(sentence)
    if revoke_old and before is not None and (said := _end_old(grant, before, granted)):
        report(said)
    if (copy_back or grant.auth.write_back) and (problem := _copy_back(grant)):
        report(problem)
    return record


def _describe_grant(grant: ManagedGrant, granted: Granted) -> list[str]:
    notes = []
    if granted.missing_scope:
        notes.append(
            f"The server granted less than was asked for: {' '.join(granted.missing_scope)}"
        )
    if granted.extra_scope:
        notes.append(f"The server granted more than was asked for: {' '.join(granted.extra_scope)}")
    if granted.refresh_token is None:
        notes.append(f"{NO_REFRESH_TOKEN}. Tasks fail when this access token ends.")
    return [*notes, f"Connection {grant.conn_id!r} is authorized."]


def _end_old(grant: ManagedGrant, before: GrantRecord, granted: Granted) -> str:
    kept = {granted.refresh_token, *granted.others, granted.token.access_token}
    tokens = {before.refresh_token, *before.alternates, before.token and before.token.access_token}
    if not tokens - {None} or tokens & kept:
        return ""  # the old grant holds no token, or the server keeps using the same tokens
    try:
        ended = revoke_tokens(grant, find_revocation_url(grant), before)
    except OAuthTaskflowError as error:
        return f"The old grant could not be revoked: {error}"
    return (
        "The old grant was revoked."
        if ended
        else "The old grant could not be revoked: the server accepts a valid access token only, and the stored one has expired."
    )


def _copy_back(grant: ManagedGrant) -> str:
    try:
        write_back(grant.conn_id, grant.store, grant.manager.grant_key)
    except OAuthTaskflowError as error:
        return f"The refresh token was not written back: {error}"
    return ""


def to_printable(text: str) -> str:
    """Text of the server for a terminal or a page: without control characters, 500 characters at most."""
    return "".join(char for char in text if char.isprintable())[:500]
