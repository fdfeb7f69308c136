"""Token revocation (RFC 7009): telling the authorization server that a token is no longer wanted."""

from __future__ import annotations

from typing import Literal

from oauth_taskflow.oauth.direct_request import DirectRequest
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.token_endpoint import TokenEndpoint

TokenKind = Literal["refresh_token", "access_token"]


def revoke(
    endpoint: TokenEndpoint, url: str, token: str, kind: TokenKind, options: GrantOptions
) -> None:
    """End ``token`` at the revocation endpoint ``url``; a token that is unknown there counts as ended (§2.2).

    Raises:
        TokenRequestRejected: the server refused; ``error`` may be ``unsupported_token_type``.
        TokenEndpointUnavailable: it cannot do so now; ``retry_after`` may say when.
    """
    params = (("token", token), ("token_type_hint", kind))
    DirectRequest.of(params, options, hidden=(token,)).send(endpoint, url)
