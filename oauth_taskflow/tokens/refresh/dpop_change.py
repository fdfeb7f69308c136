"""Moves the refresh token of a connection that switched DPoP on or off.

With another ``dpop`` it is another grant, with another key in the store. The refresh token in the connection is spent by
then: sent again, it would end the consent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.context import LeaseLost
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal, Lease
from oauth_taskflow.tokens.state.transitions import (
    Transition,
    free_lease,
    is_same,
    is_superseded,
    owns,
)

if TYPE_CHECKING:
    from oauth_taskflow.tokens.refresh.attempt import RefreshAttempt

_log = logging.getLogger("oauth_taskflow.tokens")
_LEASE_SECONDS = 30.0


def adopt_refresh_token(attempt: RefreshAttempt) -> None:
    """Take the refresh token from the same grant with another ``dpop``.

    Only if this grant does not have one, and the other one knows the refresh token of the connection. Both leases are
    held. The copy is written first and not used before the other record is emptied, so that a worker may be killed in
    between.

    Raises:
        LeaseLost: the other grant is being refreshed at this moment.
    """
    context = attempt.context
    if attempt.record.refresh_token is not None and not attempt.record.origin:
        return
    other = attempt.record.origin or _find_relative(attempt)
    if not other:
        return
    holder = lease_owner.new_attempt(context.clock.monotonic() + _LEASE_SECONDS)
    leased = context.store.acquire(other, owner=holder, ttl=_LEASE_SECONDS, waits=False)
    if leased is None:
        raise LeaseLost
    if leased.refresh_token is not None:
        attempt.apply(_adopt(attempt.lease, leased))
    context.store.change(leased, _empty(leased.lease))
    attempt.take_over(_finish_move(attempt.lease))
    _log.warning(
        "connection %s: dpop was changed; its refresh token moves to the new grant", context.conn_id
    )
    attempt.notify(Step.RECOVERED)


def _find_relative(attempt: RefreshAttempt) -> str:
    """The key of the grant whose refresh token is taken; empty without one."""
    for key in attempt.context.relatives:
        try:
            record = attempt.context.store.read(key)
        except TokenUndecryptable:
            continue
        if record.refresh_token is not None and not is_superseded(
            record, attempt.context.fingerprints
        ):
            return key
    return ""


def _adopt(lease: Lease, other: GrantRecord) -> Transition:
    """Take the consent of ``other``: its refresh tokens, their known lifetimes, and the latest answer. No access token.

    A refusal is not taken: a refresh token that is bound to a key is refused without proof, and lives (RFC 9449 §5).
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease):
            return None
        return replace(
            record,
            state=GrantState.ACTIVE,
            token=None,
            refresh_token=other.refresh_token,
            lineage=other.lineage,
            alternates=other.alternates,
            predecessor=other.predecessor,
            seeds=other.seeds,
            dpop_key=other.dpop_key,
            consent=other.consent,
            consent_fence=record.lease.fence,
            answer=other.answer,
            journal=_mark_doubtful(other.journal),
            last_failure=None,
            origin=other.grant_key,
            left_scope=other.scope,
        )

    return transition


def _mark_doubtful(journal: Journal | None) -> Journal | None:
    return None if journal is None else replace(journal, doubtful=True)


def _empty(lease: Lease) -> Transition:
    """Remove every token that could be sent, and give the lease back. The seen refresh tokens stay known."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease):
            return None
        known = any(is_same(record.lineage, seen) for seen in record.seeds)
        return replace(
            free_lease(record, lease.fence),
            state=GrantState.EMPTY,
            token=None,
            refresh_token=None,
            seeds=record.seeds if known or not record.lineage else (*record.seeds, record.lineage),
            lineage="",
            alternates=(),
            predecessor="",
            consent=None,
            consent_fence=lease.fence + 1,
            answer=None,
            origin="",
            left_scope="",
            journal=None,
            last_failure=None,
        )

    return transition


def _finish_move(lease: Lease) -> Transition:
    def transition(record: GrantRecord) -> GrantRecord | None:
        return replace(record, origin="") if owns(record, lease) and record.origin else None

    return transition
