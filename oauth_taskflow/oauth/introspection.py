"""Asks whether a token is alive (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oauth_taskflow.errors import InvalidTokenResponse
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
    named = (("token_type_hint", hint),) if hint else ()
    request = DirectRequest((("token", token), *named), hidden=(token,))
    _, fields = request.send(endpoint, url)
    active = fields.get("active")
    if not isinstance(active, bool):
        raise InvalidTokenResponse(
            "The answer does not say whether the token is active",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(url)}",
            hint="Check that this is the introspection endpoint (RFC 7662).",
        )
    # RFC 7662 §2.2: about an inactive token nothing else is to be believed.
    return Introspection(active, instant(fields.get("exp")) if active else None, fields)
