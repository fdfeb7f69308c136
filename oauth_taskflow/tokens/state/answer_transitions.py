"""How a record changes with an answer that has no access token, and with one that is read again. No I/O."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal, LastFailure, Lease
from oauth_taskflow.tokens.state.rescued import RescuedAnswer
from oauth_taskflow.tokens.state.transitions import (
    Transition,
    add_alternate,
    carry_doubt,
    free_lease,
    is_same,
    owns,
)


class AnswerFailure(Struct, frozen=True):
    """The failure that every worker raises after an unusable answer.

    ``lasting``: it may hold a token that was missed. ``passing``: it broke off, and nothing is configured wrongly.
    """

    last_failure: LastFailure
    lasting: bool
    passing: bool = False


class FoundTokens(SecretValue, frozen=True):
    """The tokens in an answer that was read again; ``fingerprint`` is that of the refresh token, ``others`` as in ``Granted``."""

    answer: KeptAnswer
    token: Token | None
    refresh_token: Hidden[str | None]
    fingerprint: str
    others: Hidden[tuple[str, ...]] = ()


def store_unusable(
    rescued: RescuedAnswer, fingerprint: str | None, failure: AnswerFailure
) -> Transition:
    """Store the refresh token of an answer without a usable access token, and the answer itself.

    The conditions are those of ``transitions.store_grant``. The refresh token that was sent becomes the ``predecessor``.
    An answer without any token leaves an earlier one in its place.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if rescued.fence < record.consent_fence:
            return None
        if not is_same(record.lineage, rescued.lineage):
            return add_alternate(record, rescued)
        came, sent = rescued.refresh_token, rescued.sent or record.refresh_token
        new = came is not None and came != sent
        after = replace(
            free_lease(record, rescued.fence),
            state=record.state if failure.passing else GrantState.MISCONFIGURED,
            last_failure=failure.last_failure.follow(record.last_failure, record.read_at.store),
            answer=rescued.answer if came or failure.lasting else record.answer or rescued.answer,
            journal=_open_journal(record, rescued, fingerprint, new=new),
        )
        if came is None or not new:
            return after
        return _rotate(after, came, fingerprint or "", rescued.others, sent or "")

    return transition


def _open_journal(
    record: GrantRecord, rescued: RescuedAnswer, fingerprint: str | None, *, new: bool
) -> Journal | None:
    entry = record.journal
    if not new and entry is not None and entry.fence == rescued.fence and entry.doubtful:
        return entry  # an earlier sending has no known end, and no new refresh token came since
    return carry_doubt(record, rescued, fingerprint)


def _rotate(
    record: GrantRecord, refresh_token: str, fingerprint: str, others: tuple[str, ...], sent: str
) -> GrantRecord:
    """``record`` with a new refresh token; one of ``others`` or the one that was ``sent`` may be the right one after all."""
    return replace(
        record,
        refresh_token=refresh_token,
        lineage=fingerprint,
        alternates=others,
        predecessor=sent,
    )


def clear_journal(rescued: RescuedAnswer) -> Transition:
    """Note that the answer to a request arrived and brought nothing."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        entry = record.journal
        mine = entry is not None and entry.fence == rescued.fence and not entry.doubtful
        return replace(record, journal=None) if mine else None

    return transition


def store_reread(lease: Lease, before: KeptAnswer, found: FoundTokens) -> Transition:
    """Store the tokens found in the answer ``before`` when it was read again, while it is still the latest one.

    A refresh token that the grant knows already changes nothing: it may have been refused since.
    """

    def transition(record: GrantRecord) -> GrantRecord | None:
        if not owns(record, lease) or record.answer != before:
            return None
        after = replace(record, answer=found.answer)
        known = (None, record.refresh_token, record.predecessor, *record.alternates)
        new, token = found.refresh_token not in known, found.token
        if new and found.refresh_token is not None:
            after = replace(after, journal=None)
            sent = record.refresh_token or ""
            after = _rotate(after, found.refresh_token, found.fingerprint, found.others, sent)
        if token is not None and _is_latest(token, record):
            after = replace(after, token=token)
        if new or (token is not None and record.state is GrantState.MISCONFIGURED):
            after = replace(after, state=GrantState.ACTIVE, last_failure=None)
        return after

    return transition


def _is_latest(token: Token, record: GrantRecord) -> bool:
    return record.token is None or token.obtained_at >= record.token.obtained_at


def drop_predecessor(lease: Lease) -> Transition:
    """Forget the predecessor before it is sent: it is sent once, whatever the result."""

    def transition(record: GrantRecord) -> GrantRecord | None:
        return replace(record, predecessor="") if owns(record, lease) else None

    return transition
