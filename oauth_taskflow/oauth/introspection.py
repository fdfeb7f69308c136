"""Asks whether a token is alive (RFC 7662), and ends one (RFC 7009)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from oauth_taskflow.errors import InvalidTokenResponse, TokenRequestRejected
from oauth_taskflow.oauth.direct_request import DirectRequest
from oauth_taskflow.oauth.timing import instant
from oauth_taskflow.oauth.token_endpoint import TokenEndpoint
from oauth_taskflow.redaction import redact_url


@dataclass(frozen=True)
class Introspection:
    """What the server says about a token. ``expires_at`` is in seconds since the epoch; do not rely on it longer."""

    active: bool
    expires_at: float | None = None
    claims: Mapping[str, object] = field(default_factory=dict, repr=False)


def introspect(endpoint: TokenEndpoint, url: str, token: str, hint: str = "") -> Introspection:
    """Ask ``url`` about ``token`` as the client of ``endpoint``; ``hint`` is its kind, as ``refresh_token``.

    Raises:
        OAuthTaskflowError: the server refused, was not reached, or did not say whether the token is active.
    """
    _, fields = _about(token, hint).send(endpoint, url)
    active = fields.get("active")
    if not isinstance(active, bool):
        raise InvalidTokenResponse(
            "The answer does not say whether the token is active",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(url)}",
            hint="Check that this is the introspection endpoint (RFC 7662).",
        )
    # RFC 7662 §2.2: about an inactive token nothing else is to be believed.
    return Introspection(active, instant(fields.get("exp")) if active else None, fields)


class Revocation(Enum):
    """How a revocation ended. ``GONE`` also covers tokens the server never knew; the local copy may be deleted."""

    GONE = "gone"
    UNSUPPORTED = "unsupported"


def revoke(endpoint: TokenEndpoint, url: str, token: str, hint: str = "") -> Revocation:
    """End ``token`` at ``url`` as the client of ``endpoint``; a refresh token usually takes its access tokens along.

    ``UNSUPPORTED``: this server does not revoke tokens of that kind; it still lives until it expires.

    Raises:
        OAuthTaskflowError: the server refused or was not reached; the token may still live.
    """
    try:
        _about(token, hint).send(endpoint, url)
    except TokenRequestRejected as refused:
        if refused.error == "unsupported_token_type":
            return Revocation.UNSUPPORTED
        raise
    return Revocation.GONE


def _about(token: str, hint: str) -> DirectRequest:
    named = (("token_type_hint", hint),) if hint else ()
    return DirectRequest((("token", token), *named), hidden=(token,))
