"""The options of a token manager, with defaults for a token endpoint that answers within 35 seconds."""

from __future__ import annotations

from msgspec import Struct

from oauth_taskflow.tokens.state.consent import UNKNOWN, RefreshLifetimes


class ManagerOptions(Struct, frozen=True, kw_only=True):
    """Times are in seconds.

    Attributes:
        leeway: a token counts as stale this long before expiry, at most 10 % of its lifetime, less a per-process jitter.
        lease_ttl: how long a worker may hold the right to refresh; must outlast one request and a stall.
        heartbeat: how often a refreshing worker prolongs its lease. After four intervals without a sign, workers that
            cannot see its process treat it as dead.
        request_budget: for one token request, its safe repetitions included.
        lease_wait: how long to wait for another worker's refresh before giving up.
        reread_after: a fresh token in memory is compared with the store this often.
        resend_window: how long a refresh token may be sent again when its answer was lost; infinite if it is not
            single-use.
        serve_stale: whether a stale token is handed out while the next one is fetched. False where a refresh ends the
            previous token, because a request that begins then would be refused.
        refresh_lifetimes: the known lifetimes of the provider's refresh tokens.
        cooldown: pause of all workers after a failed refresh if the server names none; doubles up to 16 times.

    Raises:
        ValueError: the lease would end before a request may end.
    """

    leeway: float = 60.0
    lease_ttl: float = 90.0
    heartbeat: float = 2.0
    request_budget: float = 35.0
    lease_wait: float = 150.0
    reread_after: float = 5.0
    resend_window: float = 0.0
    cooldown: float = 2.0
    serve_stale: bool = True
    refresh_lifetimes: RefreshLifetimes = UNKNOWN

    def __post_init__(self) -> None:
        if self.lease_ttl < 1.5 * self.request_budget:
            raise ValueError(
                f"lease_ttl ({self.lease_ttl} s) must be at least 1.5 times request_budget "
                f"({self.request_budget} s), or a slow refresh outlives its lease"
            )

    @property
    def lease_step(self) -> float:
        """How long a lease lasts without another sign of life."""
        return min(4 * self.heartbeat, self.lease_ttl)

    @property
    def write_reserve(self) -> float:
        """The part of the lease reserved for storing the answer."""
        return (self.lease_ttl - self.request_budget) / 3
