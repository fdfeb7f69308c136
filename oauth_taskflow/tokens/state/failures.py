"""What a failed token request means for the grant: the error, the state, and how long nobody asks again. No I/O."""

from __future__ import annotations

import copy

from oauth_taskflow.errors import (
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    OAuthTaskflowError,
    RefreshResponseLost,
    TokenRequestRejected,
)
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.endpoint.outcomes import Failure, Rejected, Unusable
from oauth_taskflow.tokens.grant_key import Marks
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Trouble
from oauth_taskflow.tokens.state.transitions import is_superseded, same

_LONGEST_COOLDOWN = 300.0
_REFUSED_COOLDOWN = 60.0
_MOST_DOUBLINGS = 4
# After refusals without a reason.
_LONGEST_COOLDOWN_UNEXPLAINED = 3600.0
_MOST_DOUBLINGS_UNEXPLAINED = 6


def explained(failure: Failure, record: GrantRecord, now: float) -> Failure:
    """``failure`` told as the end of the consent, if its date has passed at ``now`` (store clock) and the server refused.

    The date is what a preset or an earlier answer said. So the server is asked once more and has the last word.
    """
    error, consent = failure.error, record.consent
    if consent is None or consent.ends_at is None or now < consent.ends_at:
        return failure
    if not isinstance(error, TokenRequestRejected) or isinstance(error, InvalidClient):
        return failure
    return Rejected(
        ConsentRequired(
            error=error.error,
            status=error.status,
            where=error.where,
            shown=error.shown,
            description=f"it ended on {instant_text(consent.ends_at - record.read.offset)}",
            grant="refresh_token",
            hint=f"Authorize the connection again: airflow oauth login {record.conn_id}",
        )
    )


def verdict(
    outcome: Failure, conn_id: str, *, lost: bool, unproved: bool = False
) -> OAuthTaskflowError:
    """The error to raise for connection ``conn_id``.

    ``lost`` says that an earlier sending of the refresh token has no known end; ``unproved``, that the refresh token came
    with a DPoP key and was sent without proof.
    """
    error = outcome.error
    if unproved and isinstance(error, InvalidGrant):
        error = copy.copy(error)
        error.hint = (
            "The refresh token came with a DPoP key, may be bound to it, and was sent without proof. Set dpop again as it "
            f"was, and it is tried once more. Otherwise authorize the connection again: airflow oauth login {conn_id}"
        )
    if not lost or not isinstance(error, TokenRequestRejected) or not refuses_token(error):
        return error
    return RefreshResponseLost(
        "The refresh token was sent, its answer never arrived, and the server now refuses it "
        f"({error.shown}, HTTP {error.status})",
        where=error.where,
        hint="It was not revoked: a worker or the network died in between. "
        f"Authorize the connection again: airflow oauth login {conn_id}",
    )


def as_kept(outcome: Unusable) -> OAuthTaskflowError:
    """The error, which says what becomes of the answer."""
    error = copy.copy(outcome.error)
    if outcome.refresh_token is not None:
        error.hint += " The refresh token in the answer is stored: no new login is needed."
    elif outcome.opaque:
        error.hint += (
            " The answer is kept, and nothing more is asked for until the connection is corrected; it is read again then, "
            "and no new login is needed."
        )
    return error


def refuses_token(error: OAuthTaskflowError) -> bool:
    """Whether the refresh token that was sent is dead, or may be: another one of the grant may still live."""
    if isinstance(error, InvalidGrant):
        return True
    return isinstance(error, TokenRequestRejected) and error.is_unexplained


def state_after(outcome: Failure, *, single_use: bool) -> GrantState | None:
    """The grant's next state; None when it stays as it is.

    Only a refresh token can be dead for good. What other grants show is looked at anew once the cool-down is over: a
    person who consents at the server changes nothing in the connection.
    """
    if isinstance(outcome, Unusable):
        return GrantState.MISCONFIGURED
    if not isinstance(outcome, Rejected):
        return None
    dead = single_use and isinstance(outcome.error, InvalidGrant | ConsentRequired)
    return GrantState.NEEDS_CONSENT if dead else GrantState.MISCONFIGURED


def cool_down(
    outcome: Failure, state: GrantState | None, failures: int, options: ManagerOptions
) -> float | None:
    """Seconds in which no worker asks again, after ``failures`` before this one; None: until a new consent."""
    if state is GrantState.NEEDS_CONSENT:
        return None
    base = _REFUSED_COOLDOWN if isinstance(outcome, Rejected | Unusable) else options.cooldown
    error = outcome.error
    # What is sent may be a dead refresh token: each time is one too many.
    unexplained = isinstance(error, TokenRequestRejected) and error.is_unexplained
    doublings, longest = (_MOST_DOUBLINGS, _LONGEST_COOLDOWN)
    if unexplained:
        doublings, longest = _MOST_DOUBLINGS_UNEXPLAINED, _LONGEST_COOLDOWN_UNEXPLAINED
    pause: float = min(base * (1 << min(failures, doublings)), longest)
    return max(pause, error.retry_after or 0.0)


def blocking_error(record: GrantRecord, marks: Marks, now: float) -> OAuthTaskflowError | None:
    """The stored failure that forbids a token request at ``now`` (store clock); None when one may be made.

    A dead grant stays so until the connection brings a new refresh token. A refused client waits for other
    credentials or the end of its cool-down, whichever is first. An answer in which nothing was found waits until answers
    are read in another way. A cool-down holds for all workers alike.
    """
    trouble = record.trouble
    if trouble is None or is_superseded(record, marks):
        return None
    if record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        return trouble.error(now)
    if record.answer is not None and record.answer.holds_back(marks.reading):
        return trouble.error(now)
    if trouble.until is None or trouble.until <= now:
        return None
    if record.state is GrantState.MISCONFIGURED and not _same_client(trouble, marks):
        return None
    return trouble.error(now)


def _same_client(trouble: Trouble, marks: Marks) -> bool:
    return any(same(trouble.client, mark) for mark in marks.client)
