"""Ends what a stored grant holds at its authorization server (RFC 7009, or as the provider's preset says)."""

from __future__ import annotations

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.endpoint.revocation import TokenKind, revoke
from oauth_taskflow.oauth.masking_source import MaskingTokenSource
from oauth_taskflow.taskflow.cli.managed_grant import ManagedGrant
from oauth_taskflow.tokens.state.record import GrantRecord


def read_revocable(grant: ManagedGrant) -> GrantRecord:
    """What is stored of ``grant``, with what its server can end in it.

    Where the server takes access tokens only, a living one stands for the refresh token behind it: without one the
    refresh token would live on.

    Raises:
        OAuthTaskflowError: there is none, and none could be fetched.
    """
    stored = grant.manager.stored
    record = stored.read()
    has_refresh_token = record.refresh_token or grant.auth.refresh_token
    if grant.revocation.tokens == "access_token" and has_refresh_token:
        MaskingTokenSource(grant.manager).token()
        record = stored.read()
    return record


def revoke_tokens(grant: ManagedGrant, url: str, record: GrantRecord) -> bool:
    """End what ``record`` holds at ``url``; whether that was anything.

    Refresh tokens go first, because they end the access tokens at most servers.

    Raises:
        OAuthTaskflowError: the server refused or was not reached; the grant may still live.
    """
    wanted = _select_tokens(grant, record)
    secret_registry.add(token for _, token in wanted)
    for number, (kind, token) in enumerate(wanted):
        _revoke_one(grant, url, kind, token, first=number == 0)
    return bool(wanted)


def _select_tokens(grant: ManagedGrant, record: GrantRecord) -> list[tuple[TokenKind, str]]:
    """The tokens that the server takes, in the order in which they are ended."""
    taken = grant.revocation.tokens
    wanted: list[tuple[TokenKind, str]] = []
    if taken != "access_token":
        own = [record.refresh_token, *record.alternates]
        known = own if record.refresh_token is not None else [grant.auth.refresh_token]
        wanted += [("refresh_token", one) for one in known if one]
    if taken != "refresh_token" and record.token:
        # An ended one is refused, or taken for ended while its refresh token lives.
        alone = taken == "access_token" and not record.usable(record.read.store, None)
        wanted += [] if alone else [("access_token", record.token.access_token)]
    return wanted


def _revoke_one(grant: ManagedGrant, url: str, kind: TokenKind, token: str, *, first: bool) -> None:
    wanted, form = grant.auth.request_proof, grant.revocation
    proof = wanted.of(token, grant.auth.client_secret) if wanted else ""
    try:
        revoke(grant.endpoint, url, token, kind, grant.options, form=form, proof=proof)
    except TokenRequestRejected as refusal:
        # RFC 7009 §2.2.1: many servers revoke refresh tokens only; the access token then ends by itself.
        if first or refusal.error != "unsupported_token_type":
            raise
