"""The refresh protocol: which worker refreshes, which ones wait, and what is tried in which order.

Steps: read; lease; re-read under the lease; journal; send once; persist on lineage; release. A worker that does not get
the lease waits for the holder's result by reading the store.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidGrant,
    InvalidTokenResponse,
    LeaseTimeout,
    TokenUndecryptable,
)
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Rejected, Unusable
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.tokens.cipher import name_connection
from oauth_taskflow.tokens.events import Event, Step, publish
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.context import LeaseLost, RefreshContext
from oauth_taskflow.tokens.refresh.dpop_change import adopt_refresh_token
from oauth_taskflow.tokens.refresh.exit_wait import hold_process_exit
from oauth_taskflow.tokens.refresh.expiry_lookup import ExpiryLookup
from oauth_taskflow.tokens.refresh.lease_watch import LeaseWatch, lease_end_text
from oauth_taskflow.tokens.refresh.refresh_warnings import RefreshWarnings
from oauth_taskflow.tokens.refresh.spent_seed import reject_spent_seed
from oauth_taskflow.tokens.state import answer_transitions, transitions
from oauth_taskflow.tokens.state.api_refusals import is_doubtful, is_held, note_doubt
from oauth_taskflow.tokens.state.failures import active_block, refuses_token
from oauth_taskflow.tokens.state.freshness import Freshness
from oauth_taskflow.tokens.state.no_refresh_token import no_refresh_token_error
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.waits import TOKEN, note_wait

if TYPE_CHECKING:
    from oauth_taskflow.tokens.refresh.attempt import RefreshAttempt

_log = logging.getLogger("oauth_taskflow.tokens")
_FIRST_POLL = 0.04
_POLL_GROWTH = 1.25  # a waiting worker notices the result at most a third of the elapsed time later
_LONGEST_POLL = 0.5


class Refresher:
    """Gets the next token of one grant, together with every other worker that shares the store."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._expiry_lookup = ExpiryLookup(context)
        self._watch = LeaseWatch(context)
        self._warnings = RefreshWarnings(context)
        self._is_seed_known = False

    def refresh(self, freshness: Freshness, *, wait: bool) -> GrantRecord | None:
        """A record whose token satisfies ``freshness``, refreshed if needed.

        With ``wait`` False, returns None if another worker is refreshing. A stale token is returned if no better one can
        be fetched.

        Raises:
            TokenRequestError: no token could be fetched.
            TokenStoreError: the store failed; LeaseTimeout if another worker took too long.
        """
        clock = self._context.clock
        began, pause, warned = clock.monotonic(), _FIRST_POLL, False
        try:
            while True:
                record = self._read()
                found = self._find_or_refresh(record, freshness, polling=pause > _FIRST_POLL)
                if found is not None:
                    self._warnings.warn_of_consent_end(found)
                if found is not None or not wait:
                    return found
                waited = clock.monotonic() - began
                if waited > self._context.options.lease_wait:
                    raise self._lease_timeout_error(record)
                warned = warned or self._watch.warn_of_holder(record, waited)
                clock.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter needs no secrecy
                pause = min(pause * _POLL_GROWTH, _LONGEST_POLL)
        finally:
            if pause > _FIRST_POLL:
                self._publish_wait(record, clock.monotonic() - began)

    def _publish_wait(self, record: GrantRecord, seconds: float) -> None:
        context = self._context
        where = (context.grant_key, context.conn_id, record.version, record.lease.fence)
        publish(context.observer, Event(Step.WAITED, *where, seconds=seconds))
        note_wait(TOKEN, seconds)

    def _find_or_refresh(
        self, record: GrantRecord, freshness: Freshness, *, polling: bool
    ) -> GrantRecord | None:
        """The result of ``refresh``, from the store or refreshed; None if another worker is refreshing."""
        settled = self._settle(record, freshness, polling=polling)
        active = settled and self._expiry_lookup.with_expiry(settled, mine=False)
        if active is not None:
            return active
        with hold_process_exit():
            came = self._take_lease(record if settled is None else self._read(), freshness)
        if came is None:
            return None
        active = self._expiry_lookup.with_expiry(came, mine=True)
        if active is None:
            raise self._inactive_token_error()
        return active

    def _read(self) -> GrantRecord:
        """The stored record. An unreadable token that costs one request is forgotten; a refresh token never is."""
        try:
            return self._context.store.read(self._context.grant_key)
        except TokenUndecryptable as failure:
            name_connection(failure, self._context.conn_id, self._context.store.name)
            if self._context.grant.single_use:
                raise
            _log.warning("a new token is requested: %s", failure)
            self._context.store.forget(self._context.grant_key)
            return self._context.store.read(self._context.grant_key)

    def _settle(
        self, record: GrantRecord, freshness: Freshness, *, polling: bool
    ) -> GrantRecord | None:
        """``record`` if its token serves; None if a refresh is needed. Raises the stored failure that blocks requests."""
        context = self._context
        if self._is_superseded(record) or context.store.recovery.has_pending(context.grant_key):
            return None
        if record.answer is not None and context.fingerprints.reading not in record.answer.read_as:
            return None
        now = record.read_at.store_now(context.clock)
        if freshness.is_satisfied_by(record, now) or self._is_held(record, freshness, now):
            return record
        if polling and context.options.serve_stale and record.is_usable(now, freshness.refused):
            return record
        error = active_block(record, context.fingerprints, now)
        if error is None:
            return None
        if record.is_usable(now, freshness.refused):
            return record
        raise error

    def _is_held(self, record: GrantRecord, freshness: Freshness, now: float) -> bool:
        """Whether a token that the API refused stays; warns of that."""
        if freshness.demanded or not is_held(record, freshness.refused, now):
            return False
        self._warnings.warn_of_held_token(record, now)
        return True

    def _is_superseded(self, record: GrantRecord) -> bool:
        """Whether the connection's refresh token is a new consent.

        This is asked once. The store remembers the latest refresh tokens only. Where rotated ones are written back to the
        connection, the one that a long task began with is forgotten there while the task goes on.
        """
        if self._is_seed_known and record.lineage:
            return False
        superseded = transitions.is_superseded(record, self._context.fingerprints)
        self._is_seed_known = not superseded
        return superseded

    def _take_lease(self, seen: GrantRecord, freshness: Freshness) -> GrantRecord | None:
        """Refresh if the lease is free; None if it is not, or was lost before anything was sent."""
        from oauth_taskflow.tokens.refresh.attempt import (  # noqa: PLC0415 - most tasks find a fresh token
            RefreshAttempt,
        )

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
        self._watch.warn_of_takeover(lease)
        attempt = RefreshAttempt(context, leased)
        try:
            attempt.start()
            return self._refresh_under_lease(attempt, freshness)
        except LeaseLost:
            return None
        finally:
            attempt.close()

    def _refresh_under_lease(
        self, attempt: RefreshAttempt, freshness: Freshness
    ) -> GrantRecord | None:
        attempt.recover()
        adopt_refresh_token(attempt)
        self._follow_connection(attempt)
        attempt.reread_answer()
        found = self._settle(attempt.record, freshness, polling=False)
        if found is not None:
            return found
        now = attempt.store_now()
        doubtful = not freshness.demanded and is_doubtful(attempt.record, freshness.refused, now)
        came = self._send_candidates(attempt, freshness)
        if came is None or not doubtful:
            return came
        noted = self._context.store.change(came, note_doubt)
        # The lease is given back by now: a person may have revoked the grant, or another worker moved it. It starts over.
        return noted if noted.token is not None else None

    def _follow_connection(self, attempt: RefreshAttempt) -> None:
        """Make the record agree with the connection: its name, and its refresh token if that is new."""
        grant, context = self._context.grant, self._context
        if isinstance(grant, RefreshToken) and self._is_superseded(attempt.record):
            reject_spent_seed(attempt)
            if attempt.record.lineage:
                _log.warning(
                    "connection %s: its refresh token was not stored here and replaces the stored one. That is right "
                    "after a new consent. If another deployment rotates this grant too, give each a separate consent.",
                    context.conn_id,
                )
            attempt.replace_seed(grant.refresh_token)
        self._is_seed_known = True
        attempt.apply(transitions.refresh_fingerprints(context.fingerprints))
        attempt.apply(transitions.set_conn_id(context.conn_id))

    def _send_candidates(self, attempt: RefreshAttempt, freshness: Freshness) -> GrantRecord | None:
        """Request a token with the stored refresh token, then with each alternate, newest first."""
        outcome: Outcome | None = None
        candidates = self._list_candidates(attempt.record)
        attempt.ensure_dpop_key()
        for refresh_token in candidates:
            last = bool(attempt.record.predecessor) and refresh_token == attempt.record.predecessor
            if last and not _is_dead(outcome):
                break
            if last:
                attempt.apply(answer_transitions.drop_predecessor(attempt.lease))
            latest = attempt.send(refresh_token, once=last)
            if isinstance(latest, Granted):
                return self._persist(attempt, latest)
            outcome = _pick_clearer(outcome, latest)
            if not _is_refused(latest):
                break
            if attempt.follow_rotation():  # use the new token, or start over
                return self._settle(attempt.record, freshness, polling=True)
        return self._fail(attempt, outcome, freshness)

    def _list_candidates(self, record: GrantRecord) -> tuple[str | None, ...]:
        if not isinstance(self._context.grant, RefreshToken):
            return (None,)
        if record.refresh_token is None:
            if record.token is not None:
                raise no_refresh_token_error(self._context.conn_id)
            raise ConnectionConfigError(
                "There is no refresh token",
                conn_id=self._context.conn_id,
                field="refresh_token",
                hint=f"Authorize the connection: airflow oauth login {self._context.conn_id}",
            )
        last = (record.predecessor,) if record.predecessor else ()
        return (record.refresh_token, *record.alternates, *last)

    def _persist(self, attempt: RefreshAttempt, granted: Granted) -> GrantRecord | None:
        before = attempt.record.token
        record = attempt.persist(granted)
        self._warnings.warn_of_answer(before, granted)
        now = record.read_at.store_now(self._context.clock)
        # Our token is returned even if it is short-lived. One that another worker stored must be usable, else it starts over.
        mine = record.token is not None and record.token.access_token == granted.token.access_token
        return record if mine or record.is_usable(now, None) else None

    def _fail(
        self, attempt: RefreshAttempt, outcome: Outcome | None, freshness: Freshness
    ) -> GrantRecord | None:
        """The current token after a failure, if it serves; None where the next request may be made at once."""
        if outcome is None or isinstance(outcome, Granted):
            raise AssertionError("only failures end here")  # pragma: no cover
        error = attempt.fail(outcome)
        if attempt.record.is_usable(attempt.store_now(), freshness.refused):
            _log.warning("refresh failed, the current token is used until it expires: %s", error)
            return attempt.record
        if isinstance(outcome, Unusable) and outcome.cut and self._may_go_on(attempt):
            return None
        raise error

    def _may_go_on(self, attempt: RefreshAttempt) -> bool:
        return active_block(attempt.record, self._context.fingerprints, attempt.store_now()) is None

    def _inactive_token_error(self) -> InvalidTokenResponse:
        endpoint = self._context.endpoint
        return InvalidTokenResponse(
            "The authorization server calls the token inactive that it has just issued",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(endpoint.introspect_url)}",
            hint="Check introspect_url; without it, a token is used until the API refuses it.",
        )

    def _lease_timeout_error(self, record: GrantRecord) -> LeaseTimeout:
        options, lease = self._context.options, record.lease
        return LeaseTimeout(
            f"Another worker has been refreshing for more than {options.lease_wait:g} s",
            where=f"for connection {self._context.conn_id!r} in {self._context.store.name}",
            hint=f"Its lease (fence {lease.fence}), of {lease_owner.describe(lease.owner)}, ends at "
            f"{lease_end_text(record)} unless that worker prolongs it; try again.",
            retry_after=options.lease_ttl,
        )


def _is_refused(outcome: Outcome) -> bool:
    """Whether the server refused the refresh token, as far as it says why."""
    return isinstance(outcome, Rejected) and refuses_token(outcome.error)


def _pick_clearer(before: Outcome | None, latest: Outcome) -> Outcome:
    """The outcome of several refresh tokens of a grant: a refusal without a reason keeps the grant from being ended."""
    if before is None or not (_is_refused(before) and _is_refused(latest)):
        return latest
    return latest if _is_dead(before) else before


def _is_dead(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Rejected) and isinstance(outcome.error, InvalidGrant)
