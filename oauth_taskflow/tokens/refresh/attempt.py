"""One worker's attempt to refresh a grant under the lease: journal, send once, persist before use.

A new refresh token goes into a local file first, then with everything else into the store. The file is removed as soon
as the store has it. Until then it outlives a killed worker, or a store that is down.
"""

from __future__ import annotations

import logging
import math

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError, TokenRequestRejected, TokenStoreError
from oauth_taskflow.oauth.dpop import new_key
from oauth_taskflow.oauth.endpoint import (
    exchange,  # noqa: F401 - sends the grant: loaded before the journal says that it is sent
)
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    Granted,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Unusable,
)
from oauth_taskflow.oauth.endpoint.retries import exchange_with_retries
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.redaction import redact_address
from oauth_taskflow.tokens.events import Event, Step, publish
from oauth_taskflow.tokens.refresh.answer_file import AnswerFile
from oauth_taskflow.tokens.refresh.answer_reader import AnswerReader
from oauth_taskflow.tokens.refresh.context import LeaseLost, RefreshContext
from oauth_taskflow.tokens.refresh.lease_hold import LeaseHold
from oauth_taskflow.tokens.refresh.refresh_warnings import log_dead_grant, log_pause
from oauth_taskflow.tokens.state import answer_transitions, transitions
from oauth_taskflow.tokens.state.failures import (
    as_consent_expiry,
    as_error,
    as_outage,
    cooldown_seconds,
    next_state,
)
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal
from oauth_taskflow.tokens.state.rescued import RescuedAnswer
from oauth_taskflow.tokens.state.transitions import Transition

_log = logging.getLogger("oauth_taskflow.tokens")
_NOTHING_SENT = "nothing sent"
_PAUSE = 0.5


class RefreshAttempt:
    """From the lease to its release. Only this class changes its attributes; ``record`` follows what is stored.

    ``lost`` says that an earlier sending of the refresh token has no known end. A journal entry found under a new lease
    is of a holder that died or gave up.
    """

    def __init__(self, context: RefreshContext, record: GrantRecord) -> None:
        self.context = context
        self.record = record
        self.lease = record.lease
        self.lost = record.journal is not None
        self.outcome = _NOTHING_SENT
        self._hold = LeaseHold(context.store, record, context.options, context.clock)
        self._reader = AnswerReader(context)
        self._began = record.read_at.monotonic
        self._unsent = False
        self._modest = False
        self._arrived: KeptAnswer | None = None  # the latest answer with status 2xx
        self._sent: str | None = None
        self._file = AnswerFile(context.store.recovery)
        self._answer_notified = False

    def start(self) -> None:
        """Begin to prolong the lease."""
        self._hold.start()
        self.notify(Step.LEASED)

    def close(self) -> None:
        """Stop prolonging the lease, give it back if it is still ours, and log the result of the attempt."""
        self._hold.stop()
        if transitions.owns(self.record, self.lease):
            self._release()
        self._audit()

    def notify(self, step: Step, outcome: str = "") -> None:
        """Publish ``step`` to the observer."""
        context, record = self.context, self.record
        event = Event(
            step,
            record.grant_key,
            context.conn_id,
            record.version,
            self.lease.fence,
            outcome,
            seconds=context.clock.monotonic() - self._began,
            consent_due=record.consent_due(self.store_now()),
        )
        publish(context.observer, event)

    def store_now(self) -> float:
        """The store's clock now."""
        return self.record.read_at.store_now(self.context.clock)

    def apply(self, transition: Transition) -> GrantRecord:
        """Change the stored record and follow it."""
        self.record = self.context.store.change(self.record, transition)
        return self.record

    def take_over(self, transition: Transition) -> None:
        """Apply a transition that brings the state of another attempt, its journal entry included."""
        self.apply(transition)
        self.lost = self.record.journal is not None

    def follow_rotation(self) -> bool:
        """Check whether another worker rotated the refresh token meanwhile; if so, follow its record."""
        current = self.context.store.read(self.context.grant_key)
        if transitions.is_same(current.lineage, self.record.lineage):
            return False
        self.record = current
        return True

    def replace_seed(self, refresh_token: str) -> None:
        """Put the connection's new refresh token in the place of the stored one."""
        self.apply(transitions.replace_seed(self.context.fingerprints, refresh_token))
        self.lost = False
        self.notify(Step.SUPERSEDED)

    def recover(self) -> None:
        """Import answers that earlier attempts on this machine could not store; they are not in doubt any more."""
        recovery = self.context.store.recovery
        for path, rescued in recovery.load(self.context.grant_key):
            self.take_over(self._reader.import_rescued(rescued, self.record))
            recovery.remove(path)
            self.notify(Step.RECOVERED)

    def reread_answer(self) -> None:
        """Read the latest answer again if the connection reads answers in a new way; store what is found in it."""
        before = self.record.answer
        if before is None or self.context.fingerprints.reading in before.read_as:
            return
        lineage = self.record.lineage
        found = self._reader.read_again(before, self.record)
        self.apply(answer_transitions.store_reread(self.lease, before, found))
        if not transitions.is_same(lineage, self.record.lineage):
            self.lost = False
            _log.warning(
                "connection %s: read as the connection says now, the latest answer of the token endpoint holds "
                "another refresh token; it is used from now on",
                self.context.conn_id,
            )
            self.notify(Step.PERSISTED)

    def ensure_dpop_key(self) -> None:
        """Make sure that a grant with DPoP has its key in the store.

        Raises:
            LeaseLost: another worker goes on.
        """
        algorithm = self.context.endpoint.dpop
        if not algorithm or self.record.dpop_key:
            return
        if not self.apply(transitions.store_dpop_key(self.lease, new_key(algorithm))).dpop_key:
            raise LeaseLost

    def send(self, refresh_token: str | None, *, once: bool = False) -> Outcome:
        """Send the grant once, with ``refresh_token`` if it has one; an answer that got lost is asked for once more.

        Not if it is to be sent ``once``. A request that was refused because the person had agreed to less than the
        connection asks for is also repeated, with the scope that was granted.

        Raises:
            LeaseLost: too late to send; the lease belongs, or may belong, to another worker.
        """
        outcome = self._send(refresh_token)
        if self._has_asked_too_much(outcome):
            self._modest = True
            outcome = self._send(refresh_token)
        if refresh_token is None or once or not _is_lost(outcome):
            return outcome
        # The server rotated or it did not; in both cases nothing is lost by asking again.
        self.lost = True
        self.notify(Step.IN_DOUBT)
        try:
            return self._send(refresh_token)
        except LeaseLost:
            return outcome

    def _has_asked_too_much(self, outcome: Outcome) -> bool:
        refused = outcome.error if isinstance(outcome, Rejected) else None
        if not isinstance(refused, TokenRequestRejected) or refused.error != "invalid_scope":
            return False
        grant = self.context.grant
        return isinstance(grant, RefreshToken) and grant.exceeds(self.record.scope)

    def _seconds_left(self) -> float:
        """Seconds left for a request."""
        options = self.context.options
        return min(self._hold.seconds_left() - options.write_reserve, options.request_budget)

    def _send(self, refresh_token: str | None) -> Outcome:
        context, grant = self.context, self.context.grant
        if refresh_token is not None and isinstance(grant, RefreshToken):
            self._journal(refresh_token)
            self._sent = None if refresh_token == self.record.refresh_token else refresh_token
            grant = grant.with_refresh_token(refresh_token)
            if self._modest:
                grant = grant.with_scope(self.record.scope)
        self.notify(Step.SENDING)
        # Checked last: an attempt that stood still until now, in an observer too, must not send late.
        left = self._seconds_left()
        if left < context.options.request_budget / 10 or not self._hold.is_certain():
            raise LeaseLost
        self._answer_notified = False
        endpoint = context.endpoint.with_dpop_key(self.record.dpop_key)
        endpoint = replace(endpoint, may_send=self._may_send, keep=self._keep_answer)
        outcome = exchange_with_retries(
            lambda budget: endpoint.exchange(grant, budget=budget),
            single_use=grant.single_use and context.options.resend_window < left,
            clock=context.clock,
            budget=left,
            on_pause=log_pause,
        )
        self.outcome = type(outcome).__name__
        if not self._answer_notified:
            self.notify(Step.ANSWERED, self.outcome)
        return outcome

    def _may_send(self) -> bool:
        """Whether the request may leave; only then its refresh token counts as sent. Signing and connecting came before."""
        is_certain = self._hold.is_certain()
        self._unsent = self._unsent and not is_certain
        return is_certain

    def _journal(self, refresh_token: str) -> None:
        fingerprint = self.context.store.cipher.fingerprint(refresh_token)
        sent_at = self.store_now()
        entry = Journal(self.lease.fence, fingerprint, sent_at, doubtful=self.lost)
        lineage, until = self.record.lineage, sent_at + self._hold.next_extension()
        record = self.apply(transitions.write_journal(self.lease, lineage, entry, until))
        if not transitions.holds(record, self.lease, lineage):
            raise LeaseLost
        self._hold.note_extension(record)
        self._unsent = True
        self.notify(Step.JOURNALED)

    def _keep_answer(self, answer: TokenHttpResponse) -> None:
        """Put an answer that may hold a new refresh token into a file, before anything in it is judged."""
        self._answer_notified = True
        self.notify(Step.ANSWERED)
        context = self.context
        if not context.grant.single_use or context.options.resend_window == math.inf:
            return
        self._arrived = KeptAnswer.from_answer(answer, self.record.read_at.offset)
        if self._file.save(self._build_rescued()):
            self.notify(Step.KEPT)

    def _build_rescued(self) -> RescuedAnswer:
        """The answer that this attempt received, before it is judged."""
        key, lineage = self.context.grant_key, self.record.lineage
        return RescuedAnswer(
            key, self.lease.fence, lineage, None, None, self._arrived, sent=self._sent
        )

    def persist(self, granted: Granted) -> GrantRecord:
        """Store the tokens and release the lease; returns the stored record, which may be newer.

        Raises:
            TokenStoreError: the store took no write; the token is in a recovery file.
        """
        rescued = self._reader.add_grant(self._build_rescued(), granted, self.record)
        # A refresh token that exists nowhere else goes into a file first.
        is_new = rescued.living not in {None, self.record.refresh_token}
        if is_new and not self._file.is_written:
            self._file.save(rescued)
        self._write_or_rescue(rescued, self._reader.store_grant(rescued))
        self._file.remove()
        stored = self.record.token == rescued.token
        if not stored:
            self.outcome = "Granted, but another worker rotated meanwhile"
        self.notify(Step.PERSISTED if stored else Step.LINEAGE_LOST)
        return self.record

    def _write_or_rescue(self, rescued: RescuedAnswer, transition: Transition) -> None:
        failure = self._write(transition)
        while failure is not None:
            if self._seconds_left() + self.context.options.write_reserve <= _PAUSE:
                raise self._rescue(rescued, failure)
            self.context.clock.sleep(_PAUSE)
            failure = self._write(transition)

    def _write(self, transition: Transition) -> TokenStoreError | None:
        try:
            self.apply(transition)
        except TokenStoreError as failure:
            return failure
        return None

    def _rescue(self, rescued: RescuedAnswer, failure: TokenStoreError) -> TokenStoreError:
        path = self._file.require(rescued)
        self.notify(Step.RESCUED, type(failure).__name__)
        key = rescued.grant_key
        _log.error("token store down: the new token of %.12s is kept in %s", key, path)
        return failure

    def fail(self, outcome: Failure) -> OAuthTaskflowError:
        """Store the failure for every worker and release the lease; returns the error to raise.

        Raises:
            LeaseLost: another worker has the lease or rotated by now, and knows better.
            TokenStoreError: the store took no write; an answer that holds a refresh token is in a recovery file.
        """
        if isinstance(outcome, Unusable) and self.context.grant.single_use:
            return self._persist_unusable(outcome)
        return self._record_failure(outcome)

    def _persist_unusable(self, outcome: Unusable) -> OAuthTaskflowError:
        """Store the refresh token of an answer that cannot be used."""
        rescued = self._reader.add_unusable(self._build_rescued(), outcome)
        error, failure = self._reader.explain_unusable(outcome, self.record)
        self._write_or_rescue(rescued, self._reader.store_unusable(rescued, outcome, failure))
        self._file.remove()
        expected = self._reader.fingerprint(rescued) or rescued.lineage
        if (
            not transitions.is_same(self.record.lineage, expected)
            or self.record.last_failure is None
        ):
            raise LeaseLost
        self.outcome = type(error).__name__
        if rescued.refresh_token is not None:
            self.notify(Step.PERSISTED, self.outcome)
        self.notify(Step.FAILED, self.outcome)
        return error

    def _record_failure(self, outcome: Failure) -> OAuthTaskflowError:
        context, before, now = self.context, self.record.last_failure, self.store_now()
        outcome = as_outage(as_consent_expiry(outcome, self.record, now), self.record)
        error = as_error(outcome, context.conn_id, lost=self.lost, unproved=self._is_unproved())
        state = next_state(outcome, single_use=context.grant.single_use)
        pause = cooldown_seconds(outcome, state, before.failures if before else 0, context.options)
        lineage = self.record.lineage
        self.apply(
            transitions.record_failure(
                self.lease,
                lineage,
                error,
                state=state,
                client=context.fingerprints.client[0],
                until=None if pause is None else now + pause,
                spent=_is_lost(outcome),
            )
        )
        self._file.remove()
        rotated = not transitions.is_same(self.record.lineage, lineage)
        if self.record.lease.fence != self.lease.fence or rotated:
            raise LeaseLost
        self.outcome = type(error).__name__
        self.notify(Step.FAILED, self.outcome)
        if state is GrantState.NEEDS_CONSENT:
            log_dead_grant(context.conn_id, error)
        return error

    def _is_unproved(self) -> bool:
        """Whether a grant with a DPoP key is refreshed without proof, and that never worked yet."""
        record = self.record
        return bool(record.dpop_key) and not self.context.endpoint.dpop and record.token is None

    def _audit(self) -> None:
        """Write one log line that explains this attempt without a secret; the token endpoint's refusals included."""
        _log.log(
            logging.DEBUG if self.outcome == _NOTHING_SENT else logging.INFO,
            "refresh grant=%.12s conn_id=%s version=%d fence=%d outcome=%s duration=%.3fs in_doubt=%s at=%s",
            self.context.grant_key,
            self.context.conn_id,
            self.record.version,
            self.lease.fence,
            self.outcome,
            self.context.clock.monotonic() - self._began,
            self.lost,
            redact_address(self.context.endpoint.url),
        )

    def _release(self) -> None:
        """Give the lease back if it is still ours. A store that fails here only makes others wait."""
        try:
            self.apply(transitions.release_lease(self.lease, unsent=self._unsent))
        except TokenStoreError as failure:
            key = self.context.grant_key
            _log.warning("lease of grant %.12s not released: %s", key, failure)
            return
        self.notify(Step.RELEASED)


def _is_lost(outcome: Outcome) -> bool:
    """Whether no answer arrived that could be read."""
    return isinstance(outcome, OutcomeUnknown) and not isinstance(outcome, Unusable)
