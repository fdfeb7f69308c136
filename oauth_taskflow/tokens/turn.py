"""One worker's turn under the lease: journal, send once, persist before use."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import (
    OAuthTaskflowError,
    TokenRequestRejected,
    TokenStoreError,
)
from oauth_taskflow.oauth.dpop import new_key
from oauth_taskflow.oauth.endpoint.messages import Answer
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Unusable,
)
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.retries import exchange_patiently
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.tokens import edits
from oauth_taskflow.tokens.arrived import Arrived
from oauth_taskflow.tokens.failures import cool_down, explained, state_after, verdict
from oauth_taskflow.tokens.hold import Hold
from oauth_taskflow.tokens.identity import Marks
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Journal
from oauth_taskflow.tokens.recovery import Rescued
from oauth_taskflow.tokens.steps import Event, Observer, Step, tell
from oauth_taskflow.tokens.store import Edit, TokenStore

_log = logging.getLogger("oauth_taskflow.tokens")
_NOTHING_SENT = "nothing sent"


class LeaseLost(Exception):
    """The lease ended before this turn did; somebody else goes on. Never leaves this folder."""


class Setting(Struct, frozen=True):
    """What a turn works with; the same for every turn of a manager.

    ``relatives`` are the keys of grants that this one may take the refresh token of (see ``moved_grants``).
    """

    store: TokenStore
    endpoint: TokenEndpoint
    grant: Grant
    grant_key: str
    marks: Marks
    options: ManagerOptions
    clock: Clock
    observer: Observer
    relatives: tuple[str, ...] = ()


class Turn:
    """From the lease to its release. ``record`` follows what is stored.

    ``lost`` says that an earlier sending of the refresh token has no known end: a journal entry found under a new
    lease is of a holder that died or gave up. ``arrived`` is the latest answer with status 2xx, and ``file`` where it is
    kept until the store has it.
    """

    def __init__(self, setting: Setting, record: GrantRecord) -> None:
        self.on = setting
        self.record = record
        self.lease = record.lease
        self.hold = Hold(setting.store, record, setting.options, setting.clock)
        self._began = record.read.monotonic
        self._unsent = False
        self._modest = False
        self.outcome = _NOTHING_SENT
        self.lost = record.journal is not None
        self.arrived: Arrived | None = None
        self.file: Path | None = None
        self._told_of_answer = False

    def told(self, step: Step, outcome: str = "") -> None:
        """Tell the observer."""
        clock, record = self.on.clock, self.record
        event = Event(
            step,
            record.grant_key,
            self.on.endpoint.conn_id,
            record.version,
            self.lease.fence,
            outcome,
            seconds=clock.monotonic() - self._began,
            consent_due=record.consent_due(record.read.store_now(clock)),
        )
        tell(self.on.observer, event)

    def apply(self, edit: Edit) -> GrantRecord:
        """Change the stored record and follow it."""
        self.record = self.on.store.change(self.record, edit)
        return self.record

    def time_left(self) -> float:
        """Seconds left for a request."""
        options = self.on.options
        return min(self.hold.longest() - options.write_reserve, options.request_budget)

    def trade(self, refresh_token: str | None, *, once: bool = False) -> Outcome:
        """Send the grant once, with ``refresh_token`` if it has one; an answer that got lost is asked for once more.

        Not if it is to be sent ``once``. So is one that was refused because the person had agreed to less than the connection asks for.

        Raises:
            LeaseLost: too late to send; the lease belongs, or may belong, to somebody else.
        """
        outcome = self._send(refresh_token)
        if self._asked_too_much(outcome):
            self._modest = True
            outcome = self._send(refresh_token)
        if refresh_token is None or once or not _is_lost(outcome):
            return outcome
        # The server rotated or it did not; in both cases nothing is lost by asking again.
        self.lost = True
        self.told(Step.IN_DOUBT)
        try:
            return self._send(refresh_token)
        except LeaseLost:
            return outcome

    def _asked_too_much(self, outcome: Outcome) -> bool:
        refused = outcome.error if isinstance(outcome, Rejected) else None
        if not isinstance(refused, TokenRequestRejected) or refused.error != "invalid_scope":
            return False
        grant = self.on.grant
        return isinstance(grant, RefreshToken) and grant.exceeds(self.record.scope)

    def _send(self, refresh_token: str | None) -> Outcome:
        grant = self.on.grant
        if refresh_token is not None and isinstance(grant, RefreshToken):
            self._journal(refresh_token)
            grant = grant.holding(refresh_token)
            if self._modest:
                grant = grant.within(self.record.scope)
        self.told(Step.SENDING)
        # Looked at last: whoever stood still until now, in an observer too, must not send late.
        left = self.time_left()
        if left < self.on.options.request_budget / 10 or not self.hold.is_certain():
            raise LeaseLost
        self._unsent = self._told_of_answer = False
        endpoint = self.on.endpoint.proving(self.record.dpop_key)
        # And once more when a connection is there, which may have taken long.
        endpoint = replace(endpoint, may_send=self.hold.is_certain, keep=self._keep)
        outcome = exchange_patiently(
            lambda budget: endpoint.exchange(grant, budget=budget),
            single_use=grant.single_use and self.on.options.resend_window < left,
            clock=self.on.clock,
            budget=left,
        )
        self.outcome = type(outcome).__name__
        if not self._told_of_answer:
            self.told(Step.ANSWERED, self.outcome)
        return outcome

    def _keep(self, answer: Answer) -> None:
        """Put an answer that may hold a new refresh token into a file, before anything in it is judged."""
        self._told_of_answer = True
        self.told(Step.ANSWERED)
        on, record = self.on, self.record
        if not on.grant.single_use or on.options.resend_window == math.inf:
            return
        self.arrived = Arrived.of(answer, record.read.offset)
        fence, lineage = self.lease.fence, record.lineage
        rescued = Rescued(on.grant_key, fence, lineage, None, None, self.arrived)
        try:
            self.file = on.store.recovery.save(rescued)
        except TokenStoreError as failure:
            _log.info("only the store keeps the answer for %.12s: %s", on.grant_key, failure)
            return
        self.told(Step.KEPT)

    def judge(self, arrived: Arrived) -> Outcome:
        """What ``arrived`` means as the connection is now."""
        endpoint = self.on.endpoint.proving(self.record.dpop_key)
        grant = self.on.grant
        if isinstance(grant, RefreshToken) and self.record.refresh_token:
            grant = grant.holding(self.record.refresh_token)
        return interpret(arrived.answer(self.record.read.offset), endpoint.question(grant))

    def drop_file(self) -> None:
        """Remove the file of an answer that the store has, or that brought nothing."""
        if self.file is not None:
            self.on.store.recovery.done(self.file)
            self.file = None

    def _journal(self, refresh_token: str) -> None:
        mark = self.on.store.cipher.mark(refresh_token)
        sent_at = self.record.read.store_now(self.on.clock)
        entry = Journal(self.lease.fence, mark, sent_at, doubtful=self.lost)
        lineage, until = self.record.lineage, sent_at + self.hold.next_step()
        record = self.apply(edits.journal(self.lease, lineage, entry, until))
        if not edits.holds(record, self.lease, lineage):
            raise LeaseLost
        self.hold.note(record)
        self._unsent = True
        self.told(Step.JOURNALED)

    def hold_key(self) -> None:
        """Make sure that a grant with DPoP has its key in the store.

        Raises:
            LeaseLost: somebody else goes on.
        """
        algorithm = self.on.endpoint.dpop
        if not algorithm or self.record.dpop_key:
            return
        if not self.apply(edits.keyed(self.lease, new_key(algorithm))).dpop_key:
            raise LeaseLost

    def give_up(self, outcome: Failure) -> OAuthTaskflowError:
        """Note the failure for every worker and release the lease; returns the error to raise.

        Raises:
            LeaseLost: somebody else has the lease or rotated by now, and knows better.
        """
        trouble, now = self.record.trouble, self.record.read.store_now(self.on.clock)
        outcome = explained(outcome, self.record, now)
        error = verdict(
            outcome, self.on.endpoint.conn_id, lost=self.lost, unproved=self._is_unproved()
        )
        state = state_after(outcome, single_use=self.on.grant.single_use)
        pause = cool_down(outcome, state, trouble.failures if trouble else 0, self.on.options)
        lineage = self.record.lineage
        self.apply(
            edits.failed(
                self.lease,
                lineage,
                error,
                state=state,
                client=self.on.marks.client[0],
                until=None if pause is None else now + pause,
                spent=_is_lost(outcome),
            )
        )
        self.drop_file()
        moved = not edits.same(self.record.lineage, lineage)
        if self.record.lease.fence != self.lease.fence or moved:
            raise LeaseLost
        self.outcome = type(error).__name__
        self.told(Step.FAILED, self.outcome)
        if state is GrantState.NEEDS_CONSENT:
            _log.error(
                "connection %s needs a person: airflow oauth login %s. Until then every worker fails at once: %s",
                self.on.endpoint.conn_id,
                self.on.endpoint.conn_id,
                error,
            )
        return error

    def _is_unproved(self) -> bool:
        """Whether a grant with a DPoP key is refreshed without proof, and that never worked yet."""
        record = self.record
        return bool(record.dpop_key) and not self.on.endpoint.dpop and record.token is None

    def audit(self) -> None:
        """One log line that explains this turn without a secret; the token endpoint's refusals included."""
        _log.log(
            logging.DEBUG if self.outcome == _NOTHING_SENT else logging.INFO,
            "refresh grant=%.12s conn_id=%s version=%d fence=%d outcome=%s duration=%.3fs in_doubt=%s",
            self.on.grant_key,
            self.on.endpoint.conn_id,
            self.record.version,
            self.lease.fence,
            self.outcome,
            self.on.clock.monotonic() - self._began,
            self.lost,
        )

    def release(self) -> None:
        """Give the lease back if it is still ours. A store that fails here only makes others wait."""
        try:
            self.apply(edits.release(self.lease, unsent=self._unsent))
        except TokenStoreError as failure:
            _log.warning("lease of grant %.12s not released: %s", self.on.grant_key, failure)
            return
        self.told(Step.RELEASED)


def _is_lost(outcome: Outcome) -> bool:
    """Whether no answer arrived that could be read."""
    return isinstance(outcome, OutcomeUnknown) and not isinstance(outcome, Unusable)
