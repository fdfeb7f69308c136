"""A signed request that was refused because our clock is wrong is signed again on the server's. No I/O."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.errors import InvalidClient, TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.endpoint.expiry import TOLERATED_SKEW
from oauth_taskflow.oauth.endpoint.outcomes import Outcome, Rejected
from oauth_taskflow.oauth.grants import Grant


def correct_clock(
    client: Client, client_auth: str, grant: Grant, outcome: Outcome, skew: float | None
) -> tuple[Client, Grant] | None:
    """Who asks with what the second time, when ``outcome`` may be due to a clock ``skew`` seconds off; else None.

    Only signatures are made anew: a refresh token that the server refused is never sent again, while one that it did
    not look at, because it refused the client first, is.
    """
    refused = outcome.error if isinstance(outcome, Rejected) else None
    if not isinstance(refused, TokenRequestRejected) or skew is None or abs(skew) <= TOLERATED_SKEW:
        return None
    signs = CLIENT_AUTH_METHODS[client_auth].signs
    if isinstance(refused, InvalidClient) and signs and client.signer:
        return replace(client, signer=client.signer.with_skew(skew)), grant
    signed = grant.with_skew(skew) if refused.error == "invalid_grant" else None
    return (client, signed) if signed is not None else None
