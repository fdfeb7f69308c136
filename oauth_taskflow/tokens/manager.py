"""Hands out the token of one grant: from memory when fresh, refreshed exactly once however many ask."""

from __future__ import annotations

import logging
import random
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import NeverPickled
from oauth_taskflow.tokens.events import Observer, nobody
from oauth_taskflow.tokens.grant_key import GrantIdentity, Marks
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.refresh.refresher import Refresher
from oauth_taskflow.tokens.single_flight import SingleFlight
from oauth_taskflow.tokens.state.api_refusals import kept
from oauth_taskflow.tokens.state.freshness import Freshness
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.store import TokenStore
from oauth_taskflow.tokens.stored_grant import StoredGrant

_log = logging.getLogger("oauth_taskflow.tokens")


class _Held(Struct, frozen=True):
    """The token in memory, with its limits on the monotonic clock."""

    token: Token
    unquestioned_until: float
    usable_until: float

    @classmethod
    def of(
        cls, record: GrantRecord, freshness: Freshness, recheck: float, *, serve_stale: bool
    ) -> _Held:
        """The token of ``record``, compared with the store again at ``recheck`` at the latest.

        Unless ``serve_stale``, it is usable while it is fresh only.
        """
        token, read = record.local_token(), record.read
        assert token is not None, "a record that satisfies a caller has a token"
        assert record.token is not None
        if record.token.expires_at is None:
            return cls(token, recheck, float("inf"))
        usable_until = read.monotonic + record.token.expires_at - read.store
        stale_from = read.monotonic + freshness.stale_at(record.token, record.consent) - read.store
        if not serve_stale:
            usable_until = min(usable_until, stale_from)
        return cls(token, min(stale_from, recheck), usable_until)

    def is_usable(self, now: float, refused: str | None) -> bool:
        """Whether the token may be handed out at ``now`` (monotonic) and is not the ``refused`` one."""
        return now < self.usable_until and self.token.access_token != refused


class TokenManager(NeverPickled):
    """A ``TokenSource`` for one grant. Safe for threads; processes and machines meet in the store.

    A fresh token comes from memory. A stale one too, while a refresh runs in the background (unless ``serve_stale`` is
    off). Only without a usable token does a caller wait.
    """

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._refresher = Refresher(context)
        self._flights: SingleFlight[_Held | None] = SingleFlight()
        self._held: _Held | None = None
        self._monotonic = context.clock.monotonic
        # Workers that start together would else all find the same token stale at the same moment.
        self._leeway_share = random.uniform(0.7, 1.0)  # noqa: S311  # jitter needs no secrecy

    @classmethod
    def for_grant(
        cls,
        store: TokenStore,
        endpoint: TokenEndpoint,
        grant: Grant,
        *,
        subject: str = "",
        options: ManagerOptions | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer = nobody,
    ) -> TokenManager:
        """A new manager; ``manager_for`` is the one to call when threads of this process shall share it."""
        own = GrantIdentity.of(endpoint, grant, subject)
        marks = Marks.of(endpoint, grant, store.cipher)
        relatives = own.relatives if isinstance(grant, RefreshToken) else ()
        given = (options or ManagerOptions(), clock, observer, relatives)
        return cls(RefreshContext(store, endpoint, grant, own.key, marks, *given))

    def __repr__(self) -> str:
        context = self._context
        return f"TokenManager({context.conn_id!r}, grant {context.grant_key[:12]})"

    @property
    def grant_key(self) -> str:
        """The grant key: a hash, fit for logs."""
        return self._context.grant_key

    @property
    def stored(self) -> StoredGrant:
        """The grant in the store, for people who look after it."""
        return StoredGrant(self._context)

    def is_like(self, other: TokenManager) -> bool:
        """Whether ``other`` would behave the same: same store, endpoint, grant, options and observer."""
        mine, theirs = self._context, other._context
        same_place = mine.store is theirs.store and mine.endpoint == theirs.endpoint
        same_grant = mine.grant == theirs.grant and mine.options == theirs.options
        return same_place and same_grant and mine.observer == theirs.observer

    def token(self) -> Token:
        """A usable token, refreshed when needed.

        Raises:
            TokenRequestError: none could be had.
            TokenStoreError: the store failed.
        """
        held = self._held
        if held is not None and self._monotonic() < held.unquestioned_until:
            return held.token
        return self._next(None)

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``, which the API answered with 401; refreshed only if none is there.

        The same token, with ``kept_until``, where the API refused others that had just been fetched: see ``api_refusals``.

        Raises:
            TokenRequestError: none could be had.
            TokenStoreError: the store failed.
        """
        return self._next(access_token)

    def renew(self, access_token: str) -> Token:
        """A token other than ``access_token``, however good that is: for people, who know why.

        Raises:
            TokenRequestError: none could be had.
            TokenStoreError: the store failed.
        """
        return self._next(access_token, demanded=True)

    def _next(self, refused: str | None, *, demanded: bool = False) -> Token:
        before = self._held
        while True:
            held = self._held
            if held is not None and held.is_usable(self._monotonic(), refused):
                if refused is None:
                    self._flights.start(self._refresh_ahead)
                return held.token
            work = partial(self._renew, refused, wait=True, demanded=demanded)
            landed, led = self._flights.run(work)
            if landed is not None and (led or _is_news(landed.token, before, refused)):
                return landed.token

    def _refresh_ahead(self) -> _Held | None:
        """Compare the token in memory with the store and refresh it if it is stale; never raises."""
        try:
            held = self._renew(None, wait=False)
        except OAuthTaskflowError as failure:
            _log.warning("%r: refresh ahead of expiry failed: %s", self, failure)
            held = None
        except Exception as bug:  # noqa: BLE001  # nobody waits for this thread who could be told
            # By name only: a traceback may show secrets.
            _log.error("%r: refresh ahead of expiry failed: %s", self, type(bug).__name__)
            held = None
        if held is None or held.unquestioned_until <= self._monotonic():
            self._postpone()
        return held

    def _postpone(self) -> None:
        """Ask no more for a moment: somebody else is refreshing, it failed just now, or nothing better can be had."""
        held, now = self._held, self._monotonic()
        assert held is not None, "only a token in memory is refreshed ahead"
        pause = min(max(held.usable_until - now, 0.0) / 10, 1.0)
        self._held = replace(held, unquestioned_until=min(now + pause, held.usable_until))

    def _renew(self, refused: str | None, *, wait: bool, demanded: bool = False) -> _Held | None:
        freshness = Freshness(self._context.options.leeway, self._leeway_share, refused, demanded)
        record = self._refresher.renew(freshness, wait=wait)
        if record is None:
            return None
        if not demanded:
            record = kept(record, refused, record.read.store_now(self._context.clock))
        options = self._context.options
        recheck = self._monotonic() + options.reread_after
        self._held = _Held.of(record, freshness, recheck, serve_stale=options.serve_stale)
        return self._held


def _is_news(token: Token, before: _Held | None, refused: str | None) -> bool:
    """Whether a flight that others started brought what this caller needs.

    A server may answer a refresh with the same access token; it then counts as the next one by its date.
    """
    if token.access_token != refused:
        return True
    return before is not None and token.obtained_at > before.token.obtained_at
