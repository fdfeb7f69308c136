"""Token revocation (RFC 7009, and the substitutes of other servers): asks the server to forget a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.dialect import Dialect, RevocationDialect
from oauth_taskflow.oauth.endpoint.endpoint_request import DirectRequest
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions

TokenKind = Literal["refresh_token", "access_token"]
STANDARD = RevocationDialect()
_PLACE = re.compile(r"\{([a-z_]+)\}")
# Error codes for a token that has already ended, where RFC 7009 §2.2 wants a 200.
_ENDED = frozenset({"invalid_token", "invalid_grant"})


def revoke(
    endpoint: TokenEndpoint,
    url: str,
    token: str,
    kind: TokenKind,
    options: GrantOptions,
    *,
    dialect: RevocationDialect = STANDARD,
    proof: str = "",
) -> None:
    """End ``token`` at the revocation endpoint ``url``; a token that is unknown or dead there counts as ended (§2.2).

    ``proof`` is that of ``token``, where the provider wants one.

    Raises:
        TokenRequestRejected: the server refused; ``error`` may be ``unsupported_token_type``.
        TokenEndpointUnavailable: it cannot do so now; ``retry_after`` may say when.
    """
    secret = endpoint.client.client_secret
    known = {"token": token, "kind": kind, "client_secret": secret, "proof": proof}
    headers = {**options.headers, **_fill(dialect.headers, known)}
    request = DirectRequest(
        tuple(_fill(dialect.params, known).items()),
        replace(options, body=dialect.body, headers=headers),
        hidden=(token, proof),
        dialect=_combine(endpoint.dialect, dialect),
    )
    if dialect.client_auth is not None:
        endpoint = replace(endpoint.resolve(), client_auth=dialect.client_auth)
    try:
        request.send(endpoint, url)
    except TokenRequestRejected as refusal:
        if refusal.error not in _ENDED:
            raise


def _combine(tokens: Dialect, revocation: RevocationDialect) -> Dialect:
    """The token endpoint's names of parameters and errors, with the method and the success of a revocation."""
    request = replace(tokens.request, method=revocation.method)
    response = replace(tokens.response, success=revocation.success)
    return Dialect(request=request, response=response)


def _fill(texts: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    filled = {
        name: _PLACE.sub(lambda place: known.get(place[1], place[0]), text)
        for name, text in texts.items()
    }
    return {name: text for name, text in filled.items() if text}
