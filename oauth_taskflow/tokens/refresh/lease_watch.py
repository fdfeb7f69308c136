"""Watches the lease that another worker holds: whether that worker lives, and the warnings about it."""

from __future__ import annotations

import logging

from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state.record import GrantRecord, Lease

_log = logging.getLogger("oauth_taskflow.tokens")
_LONGEST_GAP = 1.0
_SAY_AFTER = 3.0


class LeaseWatch:
    """This process's observations of the lease that others hold.

    A lease that ran out while the database was away proves nothing about its holder. So time counts as silence only while
    this process looked: a living holder gets the chance to prolong its lease first.
    """

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._seen: Lease | None = None
        self._silent = 0.0
        self._looked = 0.0

    def is_held(self, record: GrantRecord) -> bool:
        """Whether the holder of the lease lives, or may live. One on another machine shows it by prolonging the lease."""
        lease, now = record.lease, self._context.clock.monotonic()
        self._look(lease, now)
        if lease.owner is None or lease_owner.is_dead(lease.owner):
            return False
        # The store's clock may be set to a later time while the answer is under way; sending again would end the grant.
        if (lease.until or 0.0) > record.read_at.store or lease_owner.holds(lease.owner, now):
            return True
        return (
            not lease_owner.is_visible(lease.owner)
            and self._silent < 2 * self._context.options.heartbeat
        )

    def _look(self, lease: Lease, now: float) -> None:
        if lease != self._seen:
            self._seen, self._silent = lease, 0.0
        else:
            # A longer time between two looks proves nothing: perhaps the store was away.
            self._silent += min(now - self._looked, _LONGEST_GAP)
        self._looked = now

    def warn_of_holder(self, record: GrantRecord, waited: float) -> bool:
        """Log which worker is waited for and until when, once it takes long; returns whether it did."""
        lease = record.lease
        if waited < _SAY_AFTER or lease.owner is None:
            return False
        _log.warning(
            "connection %s: waited %.0f s for %s, which refreshes the token "
            "(lease %d, until %s; prolonged while that worker lives)",
            self._context.conn_id,
            waited,
            lease_owner.describe(lease.owner),
            lease.fence,
            lease_end_text(record),
        )
        return True

    def warn_of_takeover(self, lease: Lease) -> None:
        """Log that the lease of a worker that held it was taken."""
        if lease.owner is None:
            return
        _log.warning(
            "connection %s: %s %s while it refreshed the token; this worker goes on",
            self._context.conn_id,
            lease_owner.describe(lease.owner),
            "ended" if lease_owner.is_dead(lease.owner) else "gave no sign of life",
        )


def lease_end_text(record: GrantRecord) -> str:
    """The end of the lease of ``record``, as a UTC time of this machine, or "unknown"."""
    until = record.lease.until
    return "unknown" if until is None else instant_text(until - record.read_at.offset)
