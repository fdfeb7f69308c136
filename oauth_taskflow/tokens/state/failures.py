"""The consequences of a failed token request for the grant: error, state, and how long requests are blocked. No I/O."""

from __future__ import annotations

import copy

from oauth_taskflow.errors import (
    ConnectionConfigError,
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    InvalidTokenResponse,
    OAuthTaskflowError,
    RefreshResponseLost,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    NotProcessed,
    OutcomeUnknown,
    Rejected,
    Unusable,
)
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, LastFailure
from oauth_taskflow.tokens.state.transitions import is_same, is_superseded

_LONGEST_COOLDOWN = 300.0
_REFUSED_COOLDOWN = 60.0
_MOST_DOUBLINGS = 4
_STRANGE_ANSWER = (
    "It gave tokens before, so a proxy or a maintenance page seems to answer in its place. Tasks try again by themselves; "
    "if this lasts, look at the authorization server and the proxies before it, and check {field}."
)
# After refusals without a reason.
_LONGEST_COOLDOWN_UNEXPLAINED = 3600.0
_MOST_DOUBLINGS_UNEXPLAINED = 6


def as_consent_expiry(failure: Failure, record: GrantRecord, now: float) -> Failure:
    """``failure`` as the end of the consent, if its date has passed at ``now`` (store clock) and the server refused.

    The date comes from a preset or an earlier answer. So the server is asked once more and has the last word.
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
            description=f"it ended on {instant_text(consent.ends_at - record.read_at.offset)}",
            grant="refresh_token",
            hint=f"Authorize the connection again: airflow oauth login {record.conn_id}",
        )
    )


def as_outage(failure: Failure, record: GrantRecord) -> Failure:
    """``failure`` as one that may pass, if an answer held nothing where this grant got a token before.

    An empty body, a web page or missing metadata may mean a wrong ``token_url`` or ``issuer``, but a corrected one begins
    another grant.
    """
    error = failure.error
    if record.token is None or isinstance(failure, Unusable):
        return failure
    if isinstance(error, ConnectionConfigError) and error.may_pass:
        return NotProcessed(_strange_answer_error(error, error.field))
    if isinstance(error, InvalidTokenResponse):
        return OutcomeUnknown(_strange_answer_error(error, "token_url"))
    return failure


def _strange_answer_error(error: OAuthTaskflowError, field: str) -> TokenEndpointUnavailable:
    hint = _STRANGE_ANSWER.format(field=field)
    return TokenEndpointUnavailable(error.what, where=error.where, hint=hint)


def as_error(
    outcome: Failure, conn_id: str, *, lost: bool, unproved: bool = False
) -> OAuthTaskflowError:
    """The error to raise for connection ``conn_id``.

    ``lost``: an earlier sending of the refresh token has no known end. ``unproved``: the refresh token came with a DPoP
    key and was sent without proof.
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
        "The refresh token was sent, no whole answer arrived, and the server now refuses it "
        f"({error.shown}, HTTP {error.status})",
        where=error.where,
        hint="It was not revoked: a worker or the network died in between. "
        f"Authorize the connection again: airflow oauth login {conn_id}",
    )


def explain_kept_answer(
    outcome: Unusable, conn_id: str, asked_again_at: float | None = None
) -> OAuthTaskflowError:
    """The error of an unusable answer, with a hint that says whether the answer is kept, and what comes next.

    ``asked_again_at`` is when the next token may be requested (seconds since the epoch, our clock), where that is known.
    """
    error = copy.copy(outcome.error)
    if outcome.others:
        error.hint += " The answer holds refresh tokens that differ: they are stored, and tried one after the other."
    elif outcome.refresh_token is not None:
        error.hint += " The refresh token in the answer is stored: no new login is needed."
    elif outcome.broken:
        error.hint += (
            " The refresh token that was sent may be spent, so that nothing more is asked for. Authorize the connection "
            f"again: airflow oauth login {conn_id}"
        )
    elif outcome.opaque:
        error.hint += (
            " The answer is kept, and nothing more is asked for until the connection is corrected; it is read again then, "
            "and no new login is needed."
        )
    if asked_again_at is not None:
        error.hint += f" No worker asks again before {instant_text(asked_again_at)}."
    return error


def refuses_token(error: OAuthTaskflowError) -> bool:
    """Whether the refresh token that was sent is, or may be, dead, while another one of the grant may still live."""
    if isinstance(error, InvalidGrant):
        return True
    return isinstance(error, TokenRequestRejected) and error.is_unexplained


def next_state(outcome: Failure, *, single_use: bool) -> GrantState | None:
    """The grant's next state; None when it stays as it is.

    Only a refresh token can be dead for good. Other grants are tried again after the cool-down: a person who consents at
    the server changes nothing in the connection.
    """
    if isinstance(outcome, Unusable):
        return GrantState.MISCONFIGURED
    if not isinstance(outcome, Rejected):
        return None
    dead = single_use and isinstance(outcome.error, InvalidGrant | ConsentRequired)
    return GrantState.NEEDS_CONSENT if dead else GrantState.MISCONFIGURED


def cooldown_seconds(
    outcome: Failure, state: GrantState | None, failures: int, options: ManagerOptions
) -> float | None:
    """Seconds in which no worker asks again, after ``failures`` earlier ones; None: until a new consent.

    The first answer that breaks off behind its refresh token costs no time.
    """
    if state is GrantState.NEEDS_CONSENT:
        return None
    passing = isinstance(outcome, Unusable) and outcome.cut
    if passing and not failures:
        return 0.0
    refused = isinstance(outcome, Rejected | Unusable) and not passing
    base = _REFUSED_COOLDOWN if refused else options.cooldown
    error = outcome.error
    # The refresh token may be dead, and each further sending of a dead one is a risk.
    unexplained = isinstance(error, TokenRequestRejected) and error.is_unexplained
    doublings, longest = (_MOST_DOUBLINGS, _LONGEST_COOLDOWN)
    if unexplained:
        doublings, longest = _MOST_DOUBLINGS_UNEXPLAINED, _LONGEST_COOLDOWN_UNEXPLAINED
    pause: float = min(base * (1 << min(failures, doublings)), longest)
    return max(pause, error.retry_after or 0.0)


def active_block(
    record: GrantRecord, fingerprints: Fingerprints, now: float
) -> OAuthTaskflowError | None:
    """The stored failure that forbids a token request at ``now`` (store clock); None when one may be made.

    A dead grant is blocked until the connection brings a new refresh token, and a refused client until its credentials
    change or its cool-down ends. An answer without any token that was found blocks until answers are read in another way.
    A cool-down holds for all workers alike.
    """
    failure = record.last_failure
    if failure is None or is_superseded(record, fingerprints):
        return None
    if record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        return failure.to_error(now)
    if record.answer is not None and record.answer.blocks_requests(fingerprints.reading):
        return failure.to_error(now)
    if failure.until is None or failure.until <= now:
        return None
    if record.state is GrantState.MISCONFIGURED and not _same_client(failure, fingerprints):
        return None
    return failure.to_error(now)


def _same_client(failure: LastFailure, fingerprints: Fingerprints) -> bool:
    return any(is_same(failure.client, one) for one in fingerprints.client)
