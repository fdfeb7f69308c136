"""The token of a brokered connection: used until it is stale or refused, then the broker is asked for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token, TokenSource

_log = logging.getLogger(__name__)
Ask = Callable[[str | None], Token]
"""Asks the broker for a token, other than the refused one if that is given. Its instants are on this machine's clock."""


class BrokerTokenSource(TokenSource):
    """A token source without a grant: the broker refreshes, and this class asks it. Safe for threads.

    The broker refreshes once for all tasks, so this class coordinates only the threads of one process.
    """

    def __init__(
        self,
        conn_id: str,
        first: Token,
        ask: Ask,
        clock: Clock = SYSTEM_CLOCK,
        *,
        leeway: float = 60.0,
    ) -> None:
        self._conn_id = conn_id
        self._leeway = leeway
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._token = first
        self._good_until = self._stale_at(first)

    def __repr__(self) -> str:
        return f"BrokerTokenSource({self._conn_id!r})"

    def token(self) -> Token:
        """A token that has not expired; a stale one when the broker has no other yet.

        Raises:
            TokenRequestError: the broker got no token; the message says why.
            TokenStoreError: the broker's store failed.
        """
        if self._clock.now() < self._good_until:
            return self._token
        with self._lock:
            if self._clock.now() >= self._good_until:
                self._renew()
            return self._token

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``, which the API answered with 401.

        Raises:
            TokenRequestError: the broker got no token; the message says why.
            TokenStoreError: the broker's store failed.
        """
        with self._lock:
            if self._token.access_token == access_token:
                self._take(self._ask(access_token))
            return self._token

    def _renew(self) -> None:
        try:
            self._take(self._ask(None))
        except OAuthTaskflowError as failure:
            expires_at = self._token.expires_at
            if expires_at is None or self._clock.now() >= expires_at:
                raise
            _log.warning("%r: the current token is used until it expires: %s", self, failure)
            self._pause()

    def _take(self, token: Token) -> None:
        same = token.access_token == self._token.access_token
        self._token = token
        self._good_until = self._stale_at(token)
        if same or self._good_until <= self._clock.now():
            self._pause()

    def _pause(self) -> None:
        """Suspends questions for up to a second: the broker has no better token now."""
        expires_at, now = self._token.expires_at, self._clock.now()
        if expires_at is not None:
            pause = min(max(expires_at - now, 0.0) / 10, 1.0)
            self._good_until = max(self._good_until, now + pause)

    def _stale_at(self, token: Token) -> float:
        stale_at = token.stale_at(self._leeway)
        return float("inf") if stale_at is None else stale_at
