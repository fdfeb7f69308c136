"""How fresh a token must be for one caller. No I/O."""

from __future__ import annotations

from msgspec import Struct

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.state.consent import Consent, refresh_deadline
from oauth_taskflow.tokens.state.record import GrantRecord


class Freshness(Struct, frozen=True):
    """The demands of a caller on a token: it is not the ``refused`` one, and fresh.

    A token is stale ``leeway`` seconds before expiry, at most 10 % of its lifetime, times this process's ``share``.
    ``demanded``: a person replaces the token, and no API refused it.
    """

    leeway: float
    share: float = 1.0
    refused: str | None = None
    demanded: bool = False

    def stale_at(self, token: Token, consent: Consent | None) -> float:
        """When ``token`` becomes stale. Infinite if neither it expires nor its ``consent`` ends by lying unused."""
        by, stale_at = refresh_deadline(consent, token), token.stale_at(self.leeway)
        if stale_at is None or token.expires_at is None:
            return by
        return min(by, token.expires_at - (token.expires_at - stale_at) * self.share)

    def is_satisfied_by(self, record: GrantRecord, now: float) -> bool:
        """Whether no refresh is needed."""
        token = record.token
        if token is None or not record.is_usable(now, self.refused):
            return False
        return now < self.stale_at(token, record.consent)
