"""Ends what a stored grant holds at its authorization server (RFC 7009)."""

from __future__ import annotations

from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.revocation import TokenKind, revoke
from oauth_taskflow.taskflow.consent_places import ManagedGrant
from oauth_taskflow.taskflow.masking import mask
from oauth_taskflow.tokens.record import GrantRecord


def revoke_at(grant: ManagedGrant, url: str, record: GrantRecord) -> bool:
    """End what ``record`` holds at ``url``; whether that was anything.

    Refresh tokens go first, because they end the access tokens at most servers.

    Raises:
        OAuthTaskflowError: the server refused or was not reached; the grant may still live.
    """
    refresh_tokens = [record.refresh_token, *record.alternates]
    if record.refresh_token is None:
        refresh_tokens = [grant.auth.refresh_token]
    wanted: list[tuple[TokenKind, str]] = [("refresh_token", one) for one in refresh_tokens if one]
    if record.token:
        wanted.append(("access_token", record.token.access_token))
    mask(token for _, token in wanted)
    for number, (kind, token) in enumerate(wanted):
        _revoke_one(grant, url, kind, token, first=number == 0)
    return bool(wanted)


def _revoke_one(grant: ManagedGrant, url: str, kind: TokenKind, token: str, *, first: bool) -> None:
    try:
        revoke(grant.endpoint, url, token, kind, grant.options)
    except TokenRequestRejected as refusal:
        # RFC 7009 §2.2.1: many servers revoke refresh tokens only; the access token then ends by itself.
        if first or refusal.error != "unsupported_token_type":
            raise
