"""Every way a grant's record changes, as functions from record to record. No I/O.

A store applies them atomically, so that a condition checked here holds at the moment of writing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.response_fields import MOST_ALTERNATES
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.state.consent import UNKNOWN, RefreshLifetimes, renew_consent
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal, LastFailure, Lease
from oauth_taskflow.tokens.state.rescued import RescuedAnswer

Transition = Callable[[GrantRecord], GrantRecord | None]
"""From the stored record to the wanted one; None leaves it as it is. Called again when another worker was faster."""

_MOST_SEEDS = 64


def is_same(fingerprint: str, other: str) -> bool:
    """Whether two fingerprints are equal, in constant time."""
    return hmac.compare_digest(fingerprint, other)


def owns(record: GrantRecord, lease: Lease) -> bool:
    """Whether ``lease`` is still the one in force."""
    return record.lease.fence == lease.fence and record.lease.owner == lease.owner


def holds(record: GrantRecord, lease: Lease, lineage: str) -> bool:
    """Whether ``lease`` is in force and the refresh token is still the one we know.

    A holder that stood still may wake under our lease and store its answer: then our refresh token is spent.
    """
    return owns(record, lease) and is_same(record.lineage, lineage)


def is_superseded(record: GrantRecord, fingerprints: Fingerprints) -> bool:
    """Whether the connection holds a refresh token that was never seen for this grant.

    One of the latest ``_MOST_SEEDS`` supersedes nothing: a worker that still has an earlier connection must not bring a
    spent refresh token back.
    """
    if not fingerprints.seed:
        return False
    return not any(
        is_same(one, seen) for one in fingerprints.seed for seen in (*record.seeds, record.lineage)
    )


def replace_seed(fingerprints: Fingerprints, refresh_token: str) -> Transition:
    """Begin a new consent with the connection's refresh token if it is a new one; nothing of the old consent remains."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not is_superseded(record, fingerprints):
            return None
        return replace(
            record,
            state=GrantState.ACTIVE,
            token=None,
            refresh_token=refresh_token,
            lineage=fingerprints.seed[0],
            alternates=(),
            seeds=(*record.seeds, fingerprints.seed[0])[-_MOST_SEEDS:],
            consent=None,
            consent_fence=record.lease.fence,
            consent_id="",
            consented_by="",
            answer=None,
            predecessor="",
            left_scope="",
            journal=None,
            last_failure=None,
        )

    return transition


def remember_seeds(record: GrantRecord, *fingerprints: str) -> GrantRecord:
    """``record`` with those refresh tokens counted as seen, so that they do not supersede the stored one."""
    new = tuple(one for one in fingerprints if one and one not in record.seeds)
    return replace(record, seeds=(*record.seeds, *new)[-_MOST_SEEDS:])


def refresh_fingerprints(fingerprints: Fingerprints) -> Transition:
    """Fingerprint the connection's refresh token with the newest key, before the key of its old fingerprint is dropped.

    Without its fingerprint it would look like a new one, and a spent refresh token would supersede the living one.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not fingerprints.seed or fingerprints.seed[0] in record.seeds:
            return None
        kept = tuple(one for one in record.seeds if one not in fingerprints.seed)
        return replace(record, seeds=(*kept, fingerprints.seed[0])[-_MOST_SEEDS:])

    return transition


def store_dpop_key(lease: Lease, dpop_key: str) -> Transition:
    """Store ``dpop_key`` before anything is proved with it, unless the grant has one or the lease is lost.

    A refresh token may become bound to the key of its request (RFC 9449 §5), even when the answer never arrives.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if record.dpop_key or not owns(record, lease):
            return None
        return replace(record, dpop_key=dpop_key)

    return transition


def write_journal(lease: Lease, lineage: str, entry: Journal, until: float) -> Transition:
    """Write ``entry`` before its refresh token is sent, while lease and ``lineage`` are as we know them.

    The time of the first sending is kept when the same refresh token is sent again. The lease then lasts ``until``.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not holds(record, lease, lineage):
            return None
        earlier = record.journal
        again = earlier is not None and is_same(earlier.fingerprint, entry.fingerprint)
        sent_at = earlier.sent_at if again and earlier is not None else entry.sent_at
        kept = replace(record.lease, until=max(until, record.lease.until or 0.0))
        return replace(record, journal=replace(entry, sent_at=sent_at), lease=kept)

    return transition


def store_grant(
    rescued: RescuedAnswer, fingerprint: str | None, known: RefreshLifetimes = UNKNOWN
) -> Transition:
    """Store a new token if the stored refresh token is still the one that was sent for it.

    Otherwise another worker rotated meanwhile. The newer pair stays, and the received refresh token becomes an alternate,
    because servers differ in which of two successors lives on. An answer to a consent that a person replaced or ended
    meanwhile is dropped: it may even be another person's.

    Args:
        rescued: the answer, with its token.
        fingerprint: that of ``rescued.living``; None without one.
        known: the lifetimes that are known of the provider's refresh tokens.
    """
    assert rescued.token is not None, "an answer that was judged as granting has a token"
    token = rescued.token

    def transition(record: GrantRecord) -> GrantRecord | None:
        if rescued.fence < record.consent_fence:
            return None
        if not is_same(record.lineage, rescued.lineage):
            return add_alternate(record, rescued)
        if _is_older(token, record, rescued.lineage):
            return free_lease(record, rescued.fence)
        sent = rescued.sent or record.refresh_token
        refresh_token = rescued.refresh_token or sent
        rotated = refresh_token != sent
        consent = renew_consent(record.consent, token, known, rotated=rotated)
        return replace(
            record,
            state=GrantState.ACTIVE,
            token=token,
            refresh_token=refresh_token,
            consent=consent if refresh_token else None,
            lineage=fingerprint or record.lineage,
            alternates=rescued.others,
            answer=rescued.answer,
            predecessor=sent or "" if rotated and rescued.misplaced else "",
            dpop_key=token.dpop_key or record.dpop_key,
            journal=carry_doubt(record, rescued, fingerprint),
            last_failure=None,
            lease=free_lease(record, rescued.fence).lease,
        )

    return transition


def carry_doubt(
    record: GrantRecord, rescued: RescuedAnswer, fingerprint: str | None
) -> Journal | None:
    """The journal after a late pair: another worker journaled the same refresh token since, and perhaps sent it.

    Without a grace period that second sending has ended the family, this pair included. Only the next refresh shows it,
    and its failure must not look like a revocation by a person.
    """
    entry = record.journal
    if entry is None or entry.fence == rescued.fence:
        return None
    return replace(entry, fingerprint=fingerprint or record.lineage, doubtful=True)


def _is_older(token: Token, record: GrantRecord, lineage: str) -> bool:
    """Whether an idempotent grant's late answer is older than the stored one."""
    stored = record.token
    return not lineage and stored is not None and stored.obtained_at > token.obtained_at


def add_alternate(record: GrantRecord, rescued: RescuedAnswer) -> GrantRecord | None:
    """``record`` with a refresh token that came too late as an alternate; None when it has it already."""
    mine = rescued.living
    if mine is None or mine in (record.refresh_token, *record.alternates):
        return None
    late = (mine, *rescued.others, *record.alternates)
    return replace(record, alternates=late[:MOST_ALTERNATES])


def free_lease(record: GrantRecord, fence: int) -> GrantRecord:
    """``record`` without the lease of ``fence``."""
    if record.lease.fence != fence:
        return record
    return replace(record, lease=Lease(None, None, fence))


def release_lease(lease: Lease, *, unsent: bool) -> Transition:
    """Give the lease back if it is still ours; ``unsent`` also removes a journal entry whose token was not sent."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease):
            return None
        free, entry = free_lease(record, lease.fence), record.journal
        mine = entry is not None and entry.fence == lease.fence and not entry.doubtful
        return replace(free, journal=None) if unsent and mine else free

    return transition


def record_failure(
    lease: Lease,
    lineage: str,
    error: OAuthTaskflowError,
    *,
    state: GrantState | None,
    client: str,
    until: float | None,
    spent: bool,
) -> Transition:
    """Store a failure for every worker and give the lease back, while lease and ``lineage`` are as we know them.

    ``state`` None keeps the state. ``spent`` False clears our journal entry, unless an earlier sending is in doubt.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not holds(record, lease, lineage):
            return None
        before = record.last_failure
        latest = LastFailure.from_error(error, client, until, before.failures + 1 if before else 1)
        entry = record.journal
        keep = entry is not None and (spent or entry.doubtful)
        return replace(
            free_lease(record, lease.fence),
            state=state or record.state,
            journal=entry if keep else None,
            last_failure=latest.follow(before, record.read_at.store),
        )

    return transition


def set_expiry(access_token: str, ends_at: float) -> Transition:
    """Set the end of ``access_token`` (store clock), while it is the stored token and has no end yet."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        token = record.token
        if token is None or token.access_token != access_token or token.expires_at is not None:
            return None
        return replace(record, token=replace(token, expires_at=ends_at))

    return transition


def set_conn_id(conn_id: str) -> Transition:
    """Set the connection that the grant belongs to, for people who look at the store."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        return None if record.conn_id == conn_id else replace(record, conn_id=conn_id)

    return transition
