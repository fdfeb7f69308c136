"""How a grant's record changes with an answer that holds no access token, and with one that is read again. No I/O."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.state.kept_answer import Arrived
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Lease, Trouble
from oauth_taskflow.tokens.state.rescued import Rescued
from oauth_taskflow.tokens.state.transitions import (
    Transition,
    doubt,
    freed,
    owns,
    same,
    with_alternate,
)


class Verdict(Struct, frozen=True):
    """What is told to every worker after an unusable answer; ``lasting``: it may hold a token that was not found."""

    trouble: Trouble
    lasting: bool


class Found(SecretValue, frozen=True):
    """What was found in an answer that was read again; ``mark`` is that of the refresh token."""

    answer: Arrived
    token: Token | None
    refresh_token: Hidden[str | None]
    mark: str


def unusable(rescued: Rescued, mark: str | None, verdict: Verdict) -> Transition:
    """Store the refresh token of an answer without a usable access token, and the answer itself.

    The conditions are those of ``edits.granted``. The refresh token that was sent becomes the ``predecessor``. An answer
    without any token leaves an earlier one in its place.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if rescued.fence < record.consent_fence:
            return None
        if not same(record.lineage, rescued.lineage):
            return with_alternate(record, rescued)
        came = rescued.refresh_token
        new = came is not None and came != record.refresh_token
        after = replace(
            freed(record, rescued.fence),
            state=GrantState.MISCONFIGURED,
            trouble=verdict.trouble,
            answer=rescued.answer if came or verdict.lasting else record.answer or rescued.answer,
            journal=_still_open(record, rescued, mark, new=new),
        )
        return _rotated(after, came, mark or "") if came is not None and new else after

    return transition


def _still_open(record: GrantRecord, rescued: Rescued, mark: str | None, *, new: bool) -> object:
    entry = record.journal
    if not new and entry is not None and entry.fence == rescued.fence and entry.doubtful:
        return entry  # an earlier sending has no known end, and nothing came since
    return doubt(record, rescued, mark)


def _rotated(record: GrantRecord, refresh_token: str, mark: str) -> GrantRecord:
    """``record`` with that refresh token in the place of its own, which may be the right one after all."""
    return replace(
        record,
        refresh_token=refresh_token,
        lineage=mark,
        alternates=(),
        predecessor=record.refresh_token or "",
    )


def answered(rescued: Rescued) -> Transition:
    """Note that the answer to a request arrived, and brought nothing."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        entry = record.journal
        mine = entry is not None and entry.fence == rescued.fence and not entry.doubtful
        return replace(record, journal=None) if mine else None

    return transition


def reread(lease: Lease, before: Arrived, found: Found) -> Transition:
    """Take what was found in the answer ``before`` when it was read again, while it is still the latest one.

    A refresh token that the grant knows already changes nothing: it may have been refused since.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease) or record.answer != before:
            return None
        after = replace(record, answer=found.answer)
        known = (None, record.refresh_token, record.predecessor, *record.alternates)
        new, token = found.refresh_token not in known, found.token
        if new and found.refresh_token is not None:
            after = _rotated(replace(after, journal=None), found.refresh_token, found.mark)
        if token is not None and _is_latest(token, record):
            after = replace(after, token=token)
        if new or (token is not None and record.state is GrantState.MISCONFIGURED):
            after = replace(after, state=GrantState.ACTIVE, trouble=None)
        return after

    return transition


def _is_latest(token: Token, record: GrantRecord) -> bool:
    return record.token is None or token.obtained_at >= record.token.obtained_at


def without_predecessor(lease: Lease) -> Transition:
    """Forget the predecessor before it is sent: it is sent once, whatever becomes of that."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        return replace(record, predecessor="") if owns(record, lease) else None

    return transition
