"""Asks whether a token is alive (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field

from oauth_taskflow.errors import InvalidTokenResponse
from oauth_taskflow.http_headers import server_skew
from oauth_taskflow.oauth.endpoint.endpoint_request import DirectRequest
from oauth_taskflow.oauth.endpoint.expiry import instant
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.secret_values import Hidden, SecretValue


class Introspection(SecretValue, frozen=True):
    """The server's statement about a token, which holds until ``expires_at`` (seconds since the epoch on our clock)."""

    active: bool
    expires_at: float | None = None
    claims: Hidden[Mapping[str, object]] = field(default_factory=dict)


def introspect(
    endpoint: TokenEndpoint,
    url: str,
    token: str,
    hint: str = "",
    options: GrantOptions | None = None,
    *,
    budget: float | None = None,
) -> Introspection:
    """Ask ``url`` about ``token`` as the client of ``endpoint``; ``hint`` is its kind, as ``refresh_token``.

    The headers of ``options`` go along; the whole takes at most ``budget`` seconds.

    Raises:
        OAuthTaskflowError: the server refused, was not reached, or did not say whether the token is active.
    """
    named = (("token_type_hint", hint),) if hint else ()
    params = (("token", token), *named)
    request = DirectRequest.from_params(params, options or GrantOptions(), hidden=(token,))
    answer, fields = request.answer(endpoint, url, budget=budget)
    active = fields.get("active")
    if not isinstance(active, bool):
        raise InvalidTokenResponse(
            "The answer does not say whether the token is active",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(url)}",
            hint="Check that this is the introspection endpoint (RFC 7662).",
        )
    # RFC 7662 §2.2: the other fields say nothing about an inactive token.
    end = instant(fields.get("exp")) if active else None
    skew = server_skew(answer.headers, answer.received_at) or 0.0
    return Introspection(active, None if end is None else end - skew, fields)
