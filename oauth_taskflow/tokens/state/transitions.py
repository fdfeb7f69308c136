"""Every way a grant's record changes, as functions from record to record. No I/O.

A store applies them atomically, so that a condition checked here holds at the moment of writing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.grant_key import Marks
from oauth_taskflow.tokens.state.consent import UNKNOWN, RefreshLifetimes, renewed
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal, Lease, Trouble
from oauth_taskflow.tokens.state.rescued import Rescued

Transition = Callable[[GrantRecord], GrantRecord | None]
"""From the record as stored to the record wanted; None leaves it as it is. Called again when another worker was faster."""

_MOST_ALTERNATES = 2
_MOST_SEEDS = 64


def same(mark: str, other: str) -> bool:
    """Whether two marks are equal, in constant time."""
    return hmac.compare_digest(mark, other)


def owns(record: GrantRecord, lease: Lease) -> bool:
    """Whether ``lease`` is still the one in force."""
    return record.lease.fence == lease.fence and record.lease.owner == lease.owner


def is_superseded(record: GrantRecord, marks: Marks) -> bool:
    """Whether the connection holds a refresh token that was never seen for this grant.

    One that was seen, however long ago, supersedes nothing: a worker that still has the connection of last week must
    not bring a spent refresh token back.
    """
    if not marks.seed:
        return False
    return not any(
        same(mark, seen) for mark in marks.seed for seen in (*record.seeds, record.lineage)
    )


def superseded(record: GrantRecord, marks: Marks, refresh_token: str) -> GrantRecord:
    """The record of a new consent: the connection's refresh token, and nothing of the old one."""
    return replace(
        record,
        state=GrantState.ACTIVE,
        token=None,
        refresh_token=refresh_token,
        lineage=marks.seed[0],
        alternates=(),
        seeds=(*record.seeds, marks.seed[0])[-_MOST_SEEDS:],
        consent=None,
        consent_fence=record.lease.fence,
        answer=None,
        predecessor="",
        left_scope="",
        journal=None,
        trouble=None,
    )


def known(record: GrantRecord, *marks: str) -> GrantRecord:
    """``record`` with the refresh tokens of ``marks`` taken for seen: none of them supersedes what is stored."""
    new = tuple(mark for mark in marks if mark and mark not in record.seeds)
    return replace(record, seeds=(*record.seeds, *new)[-_MOST_SEEDS:])


def supersede(marks: Marks, refresh_token: str) -> Transition:
    """Take the connection's refresh token if it is a new one."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        return superseded(record, marks, refresh_token) if is_superseded(record, marks) else None

    return transition


def remarked(marks: Marks) -> Transition:
    """Mark the connection's refresh token with the newest key, before the key of its old mark is dropped.

    Without its mark it would look like a new one, and a spent refresh token would supersede the living one.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not marks.seed or marks.seed[0] in record.seeds:
            return None
        kept = tuple(mark for mark in record.seeds if mark not in marks.seed)
        return replace(record, seeds=(*kept, marks.seed[0])[-_MOST_SEEDS:])

    return transition


def holds(record: GrantRecord, lease: Lease, lineage: str) -> bool:
    """Whether ``lease`` is in force and the refresh token still the one we know.

    A holder that stood still may wake under our lease and store what it got: then ours is spent.
    """
    return owns(record, lease) and same(record.lineage, lineage)


def keyed(lease: Lease, dpop_key: str) -> Transition:
    """Keep ``dpop_key`` for the grant before anything is proved with it, unless there is one or the lease is lost.

    A refresh token may become bound to the key of its request (RFC 9449 §5), even when the answer never arrives.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if record.dpop_key or not owns(record, lease):
            return None
        return replace(record, dpop_key=dpop_key)

    return transition


def journal(lease: Lease, lineage: str, entry: Journal, until: float) -> Transition:
    """Write ``entry`` before its refresh token is sent; only while lease and ``lineage`` are as we know them.

    The time of the first sending is kept when the same refresh token is sent again. The lease then lasts ``until``.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not holds(record, lease, lineage):
            return None
        earlier = record.journal
        again = earlier is not None and same(earlier.mark, entry.mark)
        sent_at = earlier.sent_at if again and earlier is not None else entry.sent_at
        kept = replace(record.lease, until=max(until, record.lease.until or 0.0))
        return replace(record, journal=replace(entry, sent_at=sent_at), lease=kept)

    return transition


def granted(rescued: Rescued, mark: str | None, known: RefreshLifetimes = UNKNOWN) -> Transition:
    """Write a new token down, if the stored refresh token is still the one it was traded for.

    Else somebody rotated meanwhile: the newer pair stays, and the refresh token that came is kept as an alternate,
    because which of two successors lives on differs between authorization servers. What came of a consent that a person
    replaced or ended meanwhile is dropped: it may even be another person's. ``mark`` is the mark of the
    refresh token that came, None when none came; ``known`` is what is known of the provider's refresh tokens.
    """
    assert rescued.token is not None, "an answer that was judged as granting has a token"
    token = rescued.token

    def transition(record: GrantRecord) -> GrantRecord | None:
        if rescued.fence < record.consent_fence:
            return None
        if not same(record.lineage, rescued.lineage):
            return with_alternate(record, rescued)
        if _older(token, record, rescued.lineage):
            return freed(record, rescued.fence)
        refresh_token = rescued.refresh_token or record.refresh_token
        rotated = refresh_token != record.refresh_token
        consent = renewed(record.consent, token, known, rotated=rotated)
        return replace(
            record,
            state=GrantState.ACTIVE,
            token=token,
            refresh_token=refresh_token,
            consent=consent if refresh_token else None,
            lineage=mark or record.lineage,
            alternates=(),
            answer=rescued.answer,
            predecessor=record.refresh_token or "" if rotated and rescued.misplaced else "",
            dpop_key=token.dpop_key or record.dpop_key,
            journal=doubt(record, rescued, mark),
            trouble=None,
            lease=freed(record, rescued.fence).lease,
        )

    return transition


def doubt(record: GrantRecord, rescued: Rescued, mark: str | None) -> Journal | None:
    """The journal beside a late pair: somebody else journaled the same refresh token since, and perhaps sent it.

    Without a grace period that second sending has ended the family, this pair included. Only the next refresh shows it;
    what it brings must not look like a revocation by a person.
    """
    entry = record.journal
    if entry is None or entry.fence == rescued.fence:
        return None
    return replace(entry, mark=mark or record.lineage, doubtful=True)


def _older(token: Token, record: GrantRecord, lineage: str) -> bool:
    """Whether an idempotent grant's late answer is older than what is stored."""
    stored = record.token
    return not lineage and stored is not None and stored.obtained_at > token.obtained_at


def with_alternate(record: GrantRecord, rescued: Rescued) -> GrantRecord | None:
    """``record`` with a refresh token that came too late as an alternate; None when it has it already."""
    mine = rescued.refresh_token
    if mine is None or mine in (record.refresh_token, *record.alternates):
        return None
    return replace(record, alternates=(mine, *record.alternates)[:_MOST_ALTERNATES])


def freed(record: GrantRecord, fence: int) -> GrantRecord:
    """``record`` without the lease of ``fence``."""
    if record.lease.fence != fence:
        return record
    return replace(record, lease=Lease(None, None, fence))


def release(lease: Lease, *, unsent: bool) -> Transition:
    """Give the lease back, if it is still ours; ``unsent`` takes back what we journaled and then did not send."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease):
            return None
        free, entry = freed(record, lease.fence), record.journal
        mine = entry is not None and entry.fence == lease.fence and not entry.doubtful
        return replace(free, journal=None) if unsent and mine else free

    return transition


def failed(
    lease: Lease,
    lineage: str,
    error: OAuthTaskflowError,
    *,
    state: GrantState | None,
    client: str,
    until: float | None,
    spent: bool,
) -> Transition:
    """Note a failure for everybody, and give the lease back; only while lease and ``lineage`` are as we know them.

    ``state`` None keeps the state. ``spent`` False clears our journal entry, unless an earlier sending is in doubt.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not holds(record, lease, lineage):
            return None
        failures = record.trouble.failures + 1 if record.trouble else 1
        entry = record.journal
        keep = entry is not None and (spent or entry.doubtful)
        return replace(
            freed(record, lease.fence),
            state=state or record.state,
            journal=entry if keep else None,
            trouble=Trouble.of(error, client, until, failures),
        )

    return transition


def ended(access_token: str, ends_at: float) -> Transition:
    """Note when ``access_token`` ends (store clock), while it is the stored token and has no end yet."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        token = record.token
        if token is None or token.access_token != access_token or token.expires_at is not None:
            return None
        return replace(record, token=replace(token, expires_at=ends_at))

    return transition


def named(conn_id: str) -> Transition:
    """Note which connection the grant belongs to, for people who look at the store."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        return None if record.conn_id == conn_id else replace(record, conn_id=conn_id)

    return transition
