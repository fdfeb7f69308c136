"""Hands out the token of one grant: from memory when fresh, refreshed exactly once however many callers ask."""

from __future__ import annotations

import logging
import random
from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import NeverPickled
from oauth_taskflow.tokens.events import Observer, ignore_event
from oauth_taskflow.tokens.grant_key import Fingerprints, GrantIdentity
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.refresh.refresher import Refresher
from oauth_taskflow.tokens.single_flight import SingleFlight
from oauth_taskflow.tokens.state.api_refusals import set_kept_until
from oauth_taskflow.tokens.state.freshness import Freshness
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.store import TokenStore

if TYPE_CHECKING:
    from oauth_taskflow.tokens.stored_grant import StoredGrant

_log = logging.getLogger("oauth_taskflow.tokens")


class _CachedToken(Struct, frozen=True):
    """The token in memory, with its limits on the monotonic clock. ``obtained_at`` is its date on the store's clock.

    The date within ``token`` is on ours, and moves with each reading of the two clocks.
    """

    token: Token
    fresh_until: float
    usable_until: float
    obtained_at: float

    @classmethod
    def from_record(
        cls, record: GrantRecord, freshness: Freshness, recheck: float, *, serve_stale: bool
    ) -> _CachedToken:
        """The token of ``record``, compared with the store again at ``recheck`` at the latest.

        Unless ``serve_stale``, it is usable while it is fresh only.
        """
        token, read = record.local_token(), record.read_at
        assert token is not None, "a record that satisfies a caller has a token"
        assert record.token is not None
        obtained_at = record.token.obtained_at
        if record.token.expires_at is None:
            return cls(token, recheck, float("inf"), obtained_at)
        usable_until = read.monotonic + record.token.expires_at - read.store
        stale_from = read.monotonic + freshness.stale_at(record.token, record.consent) - read.store
        if not serve_stale:
            usable_until = min(usable_until, stale_from)
        return cls(token, min(stale_from, recheck), usable_until, obtained_at)

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
        self._calls: SingleFlight[_CachedToken | None] = SingleFlight()
        self._cached: _CachedToken | None = None
        self._monotonic = context.clock.monotonic
        # Otherwise, workers that start together would all find the same token stale at the same moment.
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
        observer: Observer = ignore_event,
    ) -> TokenManager:
        """A new manager; ``manager_for`` gives one that the threads of this process share."""
        own = GrantIdentity.for_grant(endpoint, grant, subject)
        fingerprints = Fingerprints.for_grant(endpoint, grant, store.cipher)
        relatives = own.relatives if isinstance(grant, RefreshToken) else ()
        given = (options or ManagerOptions(), clock, observer, relatives)
        return cls(RefreshContext(store, endpoint, grant, own.key, fingerprints, *given))

    def __repr__(self) -> str:
        context = self._context
        return f"TokenManager({context.conn_id!r}, grant {context.grant_key[:12]})"

    @property
    def grant_key(self) -> str:
        """The grant key: a hash, fit for logs."""
        return self._context.grant_key

    @cached_property
    def _refresher(self) -> Refresher:
        # Built at the first refresh: most managers find another one of the same grant in this process, or a fresh token.
        return Refresher(self._context)

    @property
    def stored(self) -> StoredGrant:
        """The grant in the store, for commands that people run."""
        from oauth_taskflow.tokens.stored_grant import StoredGrant  # noqa: PLC0415 - tasks never need it

        return StoredGrant(self._context)

    def is_equivalent(self, other: TokenManager) -> bool:
        """Whether ``other`` would behave the same: same store, endpoint, grant, options and observer."""
        mine, theirs = self._context, other._context
        same_place = mine.store is theirs.store and mine.endpoint == theirs.endpoint
        same_grant = mine.grant == theirs.grant and mine.options == theirs.options
        return same_place and same_grant and mine.observer == theirs.observer

    def token(self) -> Token:
        """A usable token, refreshed when needed.

        Raises:
            TokenRequestError: no token could be fetched.
            TokenStoreError: the store failed.
        """
        cached = self._cached
        if cached is not None and self._monotonic() < cached.fresh_until:
            return cached.token
        return self._get_usable(None)

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``, which the API answered with 401; refreshed only if the store has no other.

        Returns the same token, with ``kept_until``, if the API also refused others that had just been fetched: see
        ``api_refusals``.

        Raises:
            TokenRequestError: no token could be fetched.
            TokenStoreError: the store failed.
        """
        return self._get_usable(access_token)

    def renew(self, access_token: str) -> Token:
        """A token other than ``access_token``, even if that is fresh: for people, who know why.

        Raises:
            TokenRequestError: no token could be fetched.
            TokenStoreError: the store failed.
        """
        return self._get_usable(access_token, demanded=True)

    def _get_usable(self, refused: str | None, *, demanded: bool = False) -> Token:
        before = self._cached
        while True:
            cached = self._cached
            if cached is not None and cached.is_usable(self._monotonic(), refused):
                if refused is None:
                    self._calls.start(self._refresh_ahead)
                return cached.token
            work = partial(self._refresh, refused, wait=True, demanded=demanded)
            result, led = self._calls.run(work)
            if result is not None and (led or _is_news(result, before, refused)):
                return result.token

    def _refresh_ahead(self) -> _CachedToken | None:
        """Compare the token in memory with the store and refresh it if it is stale; never raises."""
        try:
            cached = self._refresh(None, wait=False)
        except OAuthTaskflowError as failure:
            _log.warning("%r: refresh ahead of expiry failed: %s", self, failure)
            cached = None
        except Exception as bug:  # noqa: BLE001  # no caller waits for this thread and could be notified
            # By name only: a traceback may show secrets.
            _log.error("%r: refresh ahead of expiry failed: %s", self, type(bug).__name__)
            cached = None
        if cached is None or cached.fresh_until <= self._monotonic():
            self._postpone()
        return cached

    def _postpone(self) -> None:
        """Suspend refresh attempts for up to a second, because another worker refreshes or the last attempt failed."""
        cached, now = self._cached, self._monotonic()
        assert cached is not None, "only a token in memory is refreshed ahead"
        pause = min(max(cached.usable_until - now, 0.0) / 10, 1.0)
        self._cached = replace(cached, fresh_until=min(now + pause, cached.usable_until))

    def _refresh(
        self, refused: str | None, *, wait: bool, demanded: bool = False
    ) -> _CachedToken | None:
        freshness = Freshness(self._context.options.leeway, self._leeway_share, refused, demanded)
        record = self._refresher.refresh(freshness, wait=wait)
        if record is None:
            return None
        if not demanded:
            record = set_kept_until(record, refused, record.read_at.store_now(self._context.clock))
        options = self._context.options
        recheck = self._monotonic() + options.reread_after
        self._cached = _CachedToken.from_record(
            record, freshness, recheck, serve_stale=options.serve_stale
        )
        return self._cached


def _is_news(came: _CachedToken, before: _CachedToken | None, refused: str | None) -> bool:
    """Whether a call that another thread started brought a token that serves this caller.

    A server may answer a refresh with the same access token; it then counts as the next one by its date.
    """
    if came.token.access_token != refused:
        return True
    return before is not None and came.obtained_at > before.obtained_at
