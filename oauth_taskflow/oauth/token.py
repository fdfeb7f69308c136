"""The access token as the rest of the package sees it, and the protocol of its sources."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from msgspec import field

from oauth_taskflow.secret_values import Hidden, SecretValue


class TokenState(Enum):
    """Fresh: use it. Stale: usable while another worker refreshes. Expired: wait for the next one."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


class Token(SecretValue, frozen=True):
    """One access token with what its response said.

    ``expires_at`` and ``obtained_at`` are seconds since the epoch (UTC); ``expires_at`` None means that the server
    named no lifetime and the token is used until a 401. ``extras`` keeps unknown response fields (``instance_url``).
    ``dpop_key`` is the private key that the token is bound to (RFC 9449); empty for a bearer token. ``proof`` goes along
    with it where an API wants one (``request_proof``). ``kept_until`` (seconds since the epoch) is set on a token that a
    401 did not replace because another one was just refused like it: until then no 401 forces a refresh.
    """

    access_token: Hidden[str]
    obtained_at: float
    expires_at: float | None = None
    token_type: str = "Bearer"
    scope: str | None = None
    extras: Hidden[dict[str, Any]] = field(default_factory=dict)
    dpop_key: Hidden[str] = ""
    proof: Hidden[str] = ""
    kept_until: float | None = None

    def stale_at(self, leeway: float) -> float | None:
        """When the token counts as stale: ``leeway`` seconds, at most 10 % of its lifetime, before expiry."""
        if self.expires_at is None:
            return None
        return self.expires_at - min(leeway, 0.1 * max(self.expires_at - self.obtained_at, 0.0))

    def state(self, now: float, leeway: float) -> TokenState:
        """The state at ``now`` (seconds since the epoch), refreshing ``leeway`` seconds ahead of expiry."""
        stale_at = self.stale_at(leeway)
        if stale_at is None or now < stale_at:
            return TokenState.FRESH
        return TokenState.STALE if now < (self.expires_at or 0.0) else TokenState.EXPIRED


class TokenSource(Protocol):
    """Provides access tokens to a session, and replaces one that the API refused."""

    def token(self) -> Token:
        """A usable token, refreshed when needed.

        Raises:
            TokenRequestError: no token could be obtained.
            TokenStoreError: the store failed.
        """

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``, which the API answered with 401.

        Compare-and-refresh: when the current token already differs, that one is returned and nothing is requested,
        so that a hundred threads with the same dead token cause one refresh.
        """
