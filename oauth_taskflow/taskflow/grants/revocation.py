"""Revokes the tokens of a stored grant at its authorization server (RFC 7009, or as the provider's preset says)."""

from __future__ import annotations

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import InvalidClient, TokenRequestRejected
from oauth_taskflow.oauth.endpoint.revocation import TokenKind, revoke
from oauth_taskflow.oauth.masking_source import MaskingTokenSource
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant
from oauth_taskflow.tokens.state.record import GrantRecord

# Better-auth answers so, where RFC 7009 §2.2 wants a 200.
_MAY_HAVE_ENDED = (
    " But some servers answer so for a token that has ended already: then log in again, or delete the grant here: airflow "
    "oauth forget {conn_id}"
)


def read_revocable(grant: ManagedGrant) -> GrantRecord:
    """Reads the record of ``grant``, with a token that its server can revoke.

    Some servers revoke grants by a valid access token only. If the stored one has expired, the next one is fetched:
    otherwise the refresh token would stay valid.

    Raises:
        OAuthTaskflowError: a valid access token is needed and could not be fetched.
    """
    stored = grant.manager.stored
    record = stored.read()
    has_refresh_token = record.refresh_token or grant.auth.refresh_token
    if grant.revocation.tokens == "access_token" and has_refresh_token:
        MaskingTokenSource(grant.manager).token()
        record = stored.read()
    return record


def revoke_tokens(grant: ManagedGrant, url: str, record: GrantRecord) -> bool:
    """Revoke the tokens of ``record`` at ``url``; returns whether there were any.

    Refresh tokens are sent first: most servers then revoke the access tokens as well.

    Raises:
        OAuthTaskflowError: the server refused or was not reached; the grant may still be valid.
    """
    tokens = _select_tokens(grant, record)
    secret_registry.add(token for _, token in tokens)
    for number, (kind, token) in enumerate(tokens):
        _revoke_one(grant, url, kind, token, first=number == 0)
    return bool(tokens)


def _select_tokens(grant: ManagedGrant, record: GrantRecord) -> list[tuple[TokenKind, str]]:
    """The tokens that the server accepts, in the order of their revocation."""
    accepted = grant.revocation.tokens
    tokens: list[tuple[TokenKind, str]] = []
    if accepted != "access_token":
        stored = [record.refresh_token, *record.alternates]
        known = stored if record.refresh_token is not None else [grant.auth.refresh_token]
        tokens += [("refresh_token", one) for one in known if one]
    if accepted != "refresh_token" and record.token:
        # The server refuses an expired one, or reports success while the refresh token stays valid.
        useless = accepted == "access_token" and not record.is_usable(record.read_at.store, None)
        tokens += [] if useless else [("access_token", record.token.access_token)]
    return tokens


def _revoke_one(grant: ManagedGrant, url: str, kind: TokenKind, token: str, *, first: bool) -> None:
    rule, form = grant.auth.request_proof, grant.revocation
    proof = rule.compute(token, grant.auth.client_secret) if rule else ""
    try:
        revoke(grant.endpoint, url, token, kind, grant.options, dialect=form, proof=proof)
    except TokenRequestRejected as refusal:
        # The same request was accepted with the refresh token before: it is this token that the server does not take,
        # because it revokes refresh tokens only (RFC 7009 §2.2.1), or ended this one together with that (better-auth).
        if first or isinstance(refusal, InvalidClient):
            if refusal.error == "invalid_request":
                refusal.hint += _MAY_HAVE_ENDED.format(conn_id=grant.conn_id)
            raise
