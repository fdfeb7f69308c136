"""Signs a request again on the server's clock after a refusal that our clock may have caused. No I/O."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.errors import InvalidClient, TokenRequestRejected
from oauth_taskflow.http_headers import TOLERATED_SKEW
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.endpoint.outcomes import Outcome, Rejected
from oauth_taskflow.oauth.grants import Grant

_UNNAMED = frozenset({"http_400", "http_403"})


def correct_clock(
    client: Client, client_auth: str, grant: Grant, outcome: Outcome, skew: float | None
) -> tuple[Client, Grant] | None:
    """Client and grant for a second request, when a clock ``skew`` seconds off may explain ``outcome``; else None.

    Only signatures are renewed. A refused refresh token is never sent again; one that the server did not examine, because
    it refused the client first, is.
    """
    refused = outcome.error if isinstance(outcome, Rejected) else None
    if not isinstance(refused, TokenRequestRejected) or skew is None or abs(skew) <= TOLERATED_SKEW:
        return None
    signs = CLIENT_AUTH_METHODS[client_auth].signs
    # Older releases of Keycloak refuse mistimed assertions as unauthorized_client, Glewlwyd with 403 and nothing else. That
    # may also mean a refresh token, or a code.
    codes = {"unauthorized_client"} | (frozenset() if grant.single_use else _UNNAMED)
    is_client = isinstance(refused, InvalidClient) or refused.error in codes
    if is_client and signs and client.signer:
        return replace(client, signer=client.signer.with_skew(skew)), grant
    signed = grant.with_skew(skew) if refused.error == "invalid_grant" else None
    return (client, signed) if signed is not None else None
