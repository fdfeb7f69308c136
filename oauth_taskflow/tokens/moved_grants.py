"""A connection that switched DPoP on or off takes its refresh token along.

DPoP makes another grant of it, with another key in the store. The refresh token in the connection is spent by then: sent
again, it would end the consent.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.tokens import owner
from oauth_taskflow.tokens.edits import freed, is_superseded, owns, same
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Journal, Lease
from oauth_taskflow.tokens.steps import Step
from oauth_taskflow.tokens.store import Edit
from oauth_taskflow.tokens.turn import LeaseLost, Turn

_log = logging.getLogger("oauth_taskflow.tokens")
_LEASE_SECONDS = 30.0


def take_along(turn: Turn) -> None:
    """Bring the refresh token of the same grant with another ``dpop`` under this one's key.

    Only where this one has none, and that one knows the refresh token of the connection. Both leases are held. The copy is
    written first and not used before the other record is emptied, so that a worker may be killed in between.

    Raises:
        LeaseLost: the other grant is being refreshed at this moment.
    """
    on = turn.on
    if turn.record.refresh_token is not None and not turn.record.origin:
        return
    other = turn.record.origin or _find(turn)
    if not other:
        return
    attempt = owner.new_attempt(on.clock.monotonic() + _LEASE_SECONDS)
    leased = on.store.acquire(other, owner=attempt, ttl=_LEASE_SECONDS, waits=False)
    if leased is None:
        raise LeaseLost
    if leased.refresh_token is not None:
        turn.apply(_adopted(turn.lease, leased))
    on.store.change(leased, _emptied(leased.lease))
    turn.apply(_arrived_whole(turn.lease))
    turn.lost = turn.record.journal is not None
    _log.warning(
        "connection %s: dpop was changed; its refresh token is taken along", on.endpoint.conn_id
    )
    turn.told(Step.RECOVERED)


def _find(turn: Turn) -> str:
    """The key of the grant whose refresh token is to be taken; empty without one."""
    for key in turn.on.relatives:
        try:
            record = turn.on.store.read(key)
        except TokenUndecryptable:
            continue
        if record.refresh_token is not None and not is_superseded(record, turn.on.marks):
            return key
    return ""


def _adopted(lease: Lease, other: GrantRecord) -> Edit:
    """Take the consent of ``other``: its refresh tokens, what is known of them, and the latest answer. No access token.

    A refusal is left behind: a refresh token that is bound to a key is refused without proof, and lives (RFC 9449 §5).
    """

    def edit(record: GrantRecord) -> GrantRecord | None:
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
            journal=_doubtful(other.journal),
            trouble=None,
            origin=other.grant_key,
            left_scope=other.scope,
        )

    return edit


def _doubtful(journal: Journal | None) -> Journal | None:
    return None if journal is None else replace(journal, doubtful=True)


def _emptied(lease: Lease) -> Edit:
    """Leave nothing that could be sent, and give the lease back. The refresh tokens that were seen stay known."""

    def edit(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease):
            return None
        known = any(same(record.lineage, seen) for seen in record.seeds)
        return replace(
            freed(record, lease.fence),
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
            trouble=None,
        )

    return edit


def _arrived_whole(lease: Lease) -> Edit:
    def edit(record: GrantRecord) -> GrantRecord | None:
        return replace(record, origin="") if owns(record, lease) and record.origin else None

    return edit
