"""Looks up the expiry of a token whose answer did not name it, at the introspection endpoint (RFC 7662)."""

from __future__ import annotations

import logging

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.record import GrantRecord

_log = logging.getLogger("oauth_taskflow.tokens")
_BUDGET = 10.0
# The worker that got the token asks first; others only when it must have died, and each not too often.
_RESERVED_FOR_OWNER = 60.0
_REPEAT_AFTER = 300.0


class ExpiryLookup:
    """Sets the expiry that the authorization server names for stored tokens, and ends those that it calls inactive.

    The token is stored before any lookup: only its expiry is at stake here.
    """

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._asked = ("", 0.0)

    def with_expiry(self, record: GrantRecord, *, mine: bool) -> GrantRecord | None:
        """``record`` with the expiry of its token, as stored; None if the token is inactive.

        ``mine``: this worker just fetched it. If the endpoint fails or names no expiry, the token lives as long as the
        dialect says, else until a 401.
        """
        token = record.token
        if token is None or not self._is_due(record, token, mine=mine):
            return record
        clock = self._context.clock
        self._asked = token.access_token, clock.monotonic()
        ends_at = self._look_up_end(record, token)
        if ends_at is None:
            return record
        changed = self._context.store.change(
            record, transitions.set_expiry(token.access_token, ends_at)
        )
        return changed if changed.is_usable(record.read_at.store_now(clock), None) else None

    def _is_due(self, record: GrantRecord, token: Token, *, mine: bool) -> bool:
        endpoint, clock = self._context.endpoint, self._context.clock
        asks = (
            endpoint.introspect_url and endpoint.dialect.response.expiry.source == "introspection"
        )
        if not asks or token.expires_at is not None:
            return False
        asked, when = self._asked
        if asked == token.access_token and clock.monotonic() - when < _REPEAT_AFTER:
            return False
        return mine or record.read_at.store_now(clock) - token.obtained_at >= _RESERVED_FOR_OWNER

    def _look_up_end(self, record: GrantRecord, token: Token) -> float | None:
        """When the token ends on the store's clock; now for an inactive one; None if unknown."""
        from oauth_taskflow.oauth.endpoint.introspection import introspect  # noqa: PLC0415 - few servers need it

        endpoint = self._context.endpoint
        now = record.read_at.store_now(self._context.clock)
        usual = endpoint.usual_lifetime
        fallback = None if usual is None else token.obtained_at + usual
        try:
            found = introspect(
                endpoint,
                endpoint.introspect_url,
                token.access_token,
                "access_token",
                self._context.grant.options,
                budget=_BUDGET,
            )
        except OAuthTaskflowError as failure:
            kept = "it is used until a 401" if usual is None else f"it is taken to live {usual:g} s"
            _log.warning("when a token ends is not known, so %s: %s", kept, failure)
            return fallback
        if not found.active:
            return now
        end = None if found.expires_at is None else found.expires_at + record.read_at.offset
        return end if end is not None and end > now else fallback
