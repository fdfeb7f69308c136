"""The refresh protocol: who refreshes, who waits, and what is tried in which order.

Steps: read; lease; re-read under the lease; journal; send once; persist on lineage; release. Whoever does not get the
lease waits for the holder's result by reading the store.
"""

from __future__ import annotations

import logging
import random

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidGrant,
    InvalidTokenResponse,
    LeaseTimeout,
    TokenUndecryptable,
)
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Rejected
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.tokens.cipher import name_connection
from oauth_taskflow.tokens.events import Event, Step, tell
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.attempt import RefreshAttempt
from oauth_taskflow.tokens.refresh.context import LeaseLost, RefreshContext
from oauth_taskflow.tokens.refresh.dpop_change import take_along
from oauth_taskflow.tokens.refresh.exit_wait import waited_for
from oauth_taskflow.tokens.refresh.expiry_lookup import Inquiry
from oauth_taskflow.tokens.refresh.lease_watch import LeaseWatch, end_of_lease
from oauth_taskflow.tokens.refresh.spent_seed import refuse_spent
from oauth_taskflow.tokens.state import answer_transitions, transitions
from oauth_taskflow.tokens.state.api_refusals import HOLD, doubt, is_doubtful, is_held
from oauth_taskflow.tokens.state.consent import is_due_soon
from oauth_taskflow.tokens.state.failures import blocking_error, refuses_token
from oauth_taskflow.tokens.state.freshness import Freshness
from oauth_taskflow.tokens.state.record import GrantRecord

_log = logging.getLogger("oauth_taskflow.tokens")
_FIRST_POLL = 0.04
_POLL_GROWTH = 1.25  # whoever waits notices the result at most a third of the time so far later
_LONGEST_POLL = 0.5
# Seconds. Assertions live for two minutes, and dates in answers are corrected anyway.
_NOTABLE_SKEW = 30.0


class Refresher:
    """Gets the next token of one grant, together with every other worker that shares the store."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._inquiry = Inquiry(context)
        self._watch = LeaseWatch(context)
        self._introduced = False
        self._warned_of: float | None = None
        self._told_of_refusal: float | None = None

    def renew(self, freshness: Freshness, *, wait: bool) -> GrantRecord | None:
        """A record whose token meets ``freshness``, refreshed if needed.

        With ``wait`` False, returns None when another worker is refreshing. A token that is stale is returned when
        nothing better can be had.

        Raises:
            TokenRequestError: none could be had.
            TokenStoreError: the store failed; LeaseTimeout when another worker took too long.
        """
        clock = self._context.clock
        began, pause, said = clock.monotonic(), _FIRST_POLL, False
        try:
            while True:
                record = self._read()
                found = self._attempt(record, freshness, polling=pause > _FIRST_POLL)
                if found is not None or not wait:
                    self._warn_of_consent(found)
                    return found
                waited = clock.monotonic() - began
                if waited > self._context.options.lease_wait:
                    raise self._timed_out(record)
                said = said or self._watch.say_who(record, waited)
                clock.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter needs no secrecy
                pause = min(pause * _POLL_GROWTH, _LONGEST_POLL)
        finally:
            if pause > _FIRST_POLL:
                self._waited(record, clock.monotonic() - began)

    def _waited(self, record: GrantRecord, seconds: float) -> None:
        context = self._context
        where = (context.grant_key, context.conn_id, record.version, record.lease.fence)
        tell(context.observer, Event(Step.WAITED, *where, seconds=seconds))

    def _attempt(
        self, record: GrantRecord, freshness: Freshness, *, polling: bool
    ) -> GrantRecord | None:
        """What ``renew`` is after, from the store or refreshed; None when another worker is at it."""
        settled = self._settled(record, freshness, polling=polling)
        alive = settled and self._inquiry.dated(settled, mine=False)
        if alive is not None:
            return alive
        with waited_for():
            came = self._lead(record if settled is None else self._read(), freshness)
        if came is None:
            return None
        alive = self._inquiry.dated(came, mine=True)
        if alive is None:
            raise self._inactive()
        return alive

    def _read(self) -> GrantRecord:
        """What is stored. An unreadable token that costs one request is forgotten; a refresh token never is."""
        try:
            return self._context.store.read(self._context.grant_key)
        except TokenUndecryptable as failure:
            name_connection(failure, self._context.conn_id, self._context.store.name)
            if self._context.grant.single_use:
                raise
            _log.warning("a new token is requested: %s", failure)
            self._context.store.forget(self._context.grant_key)
            return self._context.store.read(self._context.grant_key)

    def _settled(
        self, record: GrantRecord, freshness: Freshness, *, polling: bool
    ) -> GrantRecord | None:
        """``record`` if it ends the matter, by its token or by raising what everybody already knows."""
        context = self._context
        if self._supersedes(record) or context.store.recovery.pending(context.grant_key):
            return None
        if record.answer is not None and context.marks.reading not in record.answer.read_as:
            return None
        now = record.read.store_now(context.clock)
        if freshness.is_satisfied_by(record, now) or self._is_held(record, freshness, now):
            return record
        if polling and context.options.serve_stale and record.usable(now, freshness.refused):
            return record
        error = blocking_error(record, context.marks, now)
        if error is None:
            return None
        if record.usable(now, freshness.refused):
            return record
        raise error

    def _is_held(self, record: GrantRecord, freshness: Freshness, now: float) -> bool:
        """Whether a token that the API refused stays; says so once for each hold."""
        if freshness.demanded or not is_held(record, freshness.refused, now):
            return False
        if self._told_of_refusal != record.doubted_at:
            self._told_of_refusal = record.doubted_at
            conn_id = self._context.conn_id
            _log.warning(
                "connection %s: the API refuses (401) access tokens that were just fetched and are fresh, so that another "
                "one would hardly help. For at most %.0f s more no refresh is forced by a 401; refreshes at expiry go on. "
                "Check scope, audience and permissions of the client, and token_header; a new token now: airflow oauth "
                "refresh %s",
                conn_id,
                HOLD - (now - (record.doubted_at or now)),
                conn_id,
            )
        return True

    def _supersedes(self, record: GrantRecord) -> bool:
        """Whether the connection's refresh token is a new consent.

        That is asked once. The store remembers the latest refresh tokens only, and where rotated ones are written
        back to the connection, one that a long task began with is forgotten there while the task goes on.
        """
        if self._introduced and record.lineage:
            return False
        superseded = transitions.is_superseded(record, self._context.marks)
        self._introduced = not superseded
        return superseded

    def _lead(self, seen: GrantRecord, freshness: Freshness) -> GrantRecord | None:
        """Refresh if the lease can be had; None when it cannot, or was lost before anything was sent."""
        context, lease = self._context, seen.lease
        if self._watch.is_held(seen):
            return None
        dead = lease_owner.is_dead(lease.owner)
        leased = context.store.acquire(
            context.grant_key,
            owner=lease_owner.new_attempt(context.clock.monotonic() + context.options.lease_ttl),
            ttl=context.options.lease_step,
            breaking=lease.fence if dead else None,
            lapsed=lease.fence,
            waits=False,
        )
        if leased is None:
            return None
        self._watch.say_taken(lease)
        attempt = RefreshAttempt(context, leased)
        try:
            attempt.start()
            return self._under_lease(attempt, freshness)
        except LeaseLost:
            return None
        finally:
            attempt.close()

    def _under_lease(self, attempt: RefreshAttempt, freshness: Freshness) -> GrantRecord | None:
        attempt.recover()
        take_along(attempt)
        self._take_connection(attempt)
        attempt.reread_answer()
        found = self._settled(attempt.record, freshness, polling=False)
        if found is not None:
            return found
        now = attempt.store_now()
        doubtful = not freshness.demanded and is_doubtful(attempt.record, freshness.refused, now)
        came = self._send_candidates(attempt, freshness)
        if came is None or not doubtful:
            return came
        noted = self._context.store.change(came, doubt)
        # The lease is given back by now: a person may have revoked the grant, or another worker moved it. It starts over.
        return noted if noted.token is not None else None

    def _take_connection(self, attempt: RefreshAttempt) -> None:
        """Make the record agree with the connection: name, and a refresh token that is new."""
        grant, context = self._context.grant, self._context
        if isinstance(grant, RefreshToken) and self._supersedes(attempt.record):
            refuse_spent(attempt)
            if attempt.record.lineage:
                _log.warning(
                    "connection %s: its refresh token was not stored here and replaces the stored one. That is right "
                    "after a new consent. If another deployment rotates this grant too, give each a consent of its own.",
                    context.conn_id,
                )
            attempt.replace_seed(grant.refresh_token)
        self._introduced = True
        attempt.apply(transitions.remarked(context.marks))
        attempt.apply(transitions.named(context.conn_id))

    def _send_candidates(self, attempt: RefreshAttempt, freshness: Freshness) -> GrantRecord | None:
        """Ask for a token with the stored refresh token, then with each alternate, newest first."""
        outcome: Outcome | None = None
        candidates = self._candidates(attempt.record)
        attempt.ensure_dpop_key()
        for refresh_token in candidates:
            last = bool(attempt.record.predecessor) and refresh_token == attempt.record.predecessor
            if last and not _is_dead(outcome):
                break
            if last:
                attempt.apply(answer_transitions.without_predecessor(attempt.lease))
            latest = attempt.send(refresh_token, once=last)
            if isinstance(latest, Granted):
                return self._granted(attempt, latest)
            outcome = _more_telling(outcome, latest)
            if not _is_refused(latest):
                break
            if attempt.follow_rotation():  # use what came of it, or start over
                return self._settled(attempt.record, freshness, polling=True)
        return self._failed(attempt, outcome, freshness)

    def _candidates(self, record: GrantRecord) -> tuple[str | None, ...]:
        if not isinstance(self._context.grant, RefreshToken):
            return (None,)
        if record.refresh_token is None:
            raise ConnectionConfigError(
                "There is no refresh token",
                conn_id=self._context.conn_id,
                field="refresh_token",
                hint=f"Authorize the connection: airflow oauth login {self._context.conn_id}",
            )
        last = (record.predecessor,) if record.predecessor else ()
        return (record.refresh_token, *record.alternates, *last)

    def _granted(self, attempt: RefreshAttempt, granted: Granted) -> GrantRecord | None:
        before = attempt.record.token
        record = attempt.persist(granted)
        self._remark(before, granted)
        now = record.read.store_now(self._context.clock)
        # What came is returned even if it is short-lived; what others stored must be usable, else it starts over.
        mine = record.token is not None and record.token.access_token == granted.token.access_token
        return record if mine or record.usable(now, None) else None

    def _remark(self, before: Token | None, granted: Granted) -> None:
        conn_id = self._context.conn_id
        if granted.missing_scope:
            _log.warning(
                "connection %s: the server granted less than was asked for; missing scope: %s",
                conn_id,
                " ".join(granted.missing_scope),
            )
        # Once: a server that always gives more would fill the log.
        if granted.extra_scope and (before is None or before.scope != granted.token.scope):
            _log.warning(
                "connection %s: the server granted more than was asked for: %s; the token can do more than it should",
                conn_id,
                " ".join(granted.extra_scope),
            )
        if abs(granted.skew or 0.0) > _NOTABLE_SKEW:
            _log.warning(
                "connection %s: the authorization server's clock is %+.0f s off this machine's; check its time service",
                conn_id,
                granted.skew,
            )

    def _failed(
        self, attempt: RefreshAttempt, outcome: Outcome | None, freshness: Freshness
    ) -> GrantRecord:
        if outcome is None or isinstance(outcome, Granted):
            raise AssertionError("only failures end here")  # pragma: no cover
        error = attempt.fail(outcome)
        if attempt.record.usable(attempt.store_now(), freshness.refused):
            _log.warning("refresh failed, the current token is used until it expires: %s", error)
            return attempt.record
        raise error

    def _warn_of_consent(self, record: GrantRecord | None) -> None:
        """Say in the log, once per date, that a person must agree again before long."""
        if record is None or record.consent is None or record.consent.ends_at is None:
            return
        ends_at, now = record.consent.ends_at, record.read.store_now(self._context.clock)
        if ends_at == self._warned_of or not is_due_soon(record.consent, record.token, now):
            return
        self._warned_of = ends_at
        conn_id = self._context.conn_id
        _log.warning(
            "connection %s: its refresh tokens end on %s, and a person must agree again: airflow oauth login %s",
            conn_id,
            instant_text(ends_at - record.read.offset),
            conn_id,
        )

    def _inactive(self) -> InvalidTokenResponse:
        endpoint = self._context.endpoint
        return InvalidTokenResponse(
            "The authorization server calls the token inactive that it has just issued",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(endpoint.introspect_url)}",
            hint="Check introspect_url; without it, a token is used until the API refuses it.",
        )

    def _timed_out(self, record: GrantRecord) -> LeaseTimeout:
        return LeaseTimeout(
            f"Another worker has been refreshing for more than {self._context.options.lease_wait:g} s",
            where=f"for connection {self._context.conn_id!r} in {self._context.store.name}",
            hint=f"Its lease (fence {record.lease.fence}), of {lease_owner.named(record.lease.owner)}, ends at "
            f"{end_of_lease(record)} unless that worker prolongs it; try again.",
            retry_after=self._context.options.lease_ttl,
        )


def _is_refused(outcome: Outcome) -> bool:
    """Whether the server refused the refresh token, as far as it says why."""
    return isinstance(outcome, Rejected) and refuses_token(outcome.error)


def _more_telling(before: Outcome | None, latest: Outcome) -> Outcome:
    """What several refresh tokens of a grant came to: a refusal without a reason keeps the grant from being ended."""
    if before is None or not (_is_refused(before) and _is_refused(latest)):
        return latest
    return latest if _is_dead(before) else before


def _is_dead(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Rejected) and isinstance(outcome.error, InvalidGrant)
