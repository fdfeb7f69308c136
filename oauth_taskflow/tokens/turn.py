"""One worker's turn under the lease: journal, send once, persist before use."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import (
    ConsentRequired,
    InvalidGrant,
    OAuthTaskflowError,
    RefreshResponseLost,
    TokenStoreError,
)
from oauth_taskflow.oauth.attempts import exchange_patiently
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.oauth.outcomes import Granted, NotProcessed, Outcome, OutcomeUnknown, Rejected
from oauth_taskflow.oauth.token_endpoint import TokenEndpoint
from oauth_taskflow.tokens import edits
from oauth_taskflow.tokens.identity import Marks
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Journal, moved
from oauth_taskflow.tokens.recovery import Rescued
from oauth_taskflow.tokens.steps import Event, Observer, Step
from oauth_taskflow.tokens.store import Edit, TokenStore

_log = logging.getLogger("oauth_taskflow.tokens")
_LONGEST_COOLDOWN = 300.0
_REFUSED_COOLDOWN = 60.0
_WRITE_PAUSE = 0.5
_NOTHING_SENT = "nothing sent"


class LeaseLost(Exception):
    """The lease ended before this turn did; somebody else goes on. Never leaves this folder."""


@dataclass(frozen=True)
class Setting:
    """What a turn works with; the same for every turn of a manager."""

    store: TokenStore
    endpoint: TokenEndpoint
    grant: Grant
    grant_key: str
    marks: Marks
    options: ManagerOptions
    clock: Clock
    observer: Observer


class Turn:
    """From the lease to its release. ``record`` follows what is stored.

    ``lost`` says that an earlier sending of the refresh token has no known end: a journal entry found under a new
    lease is of a holder that died or gave up.
    """

    def __init__(self, setting: Setting, record: GrantRecord) -> None:
        self._on = setting
        self.record = record
        self._lease = record.lease
        self._began = (record.read.monotonic, record.read.wall)
        self._unsent = False
        self._outcome = _NOTHING_SENT
        self.lost = record.journal is not None

    def told(self, step: Step, outcome: str = "") -> None:
        """Tell the observer."""
        record = self.record
        self._on.observer(
            Event(
                step,
                record.grant_key,
                self._on.endpoint.conn_id,
                record.version,
                self._lease.fence,
                outcome,
            )
        )

    def apply(self, edit: Edit) -> GrantRecord:
        """Change the stored record and follow it."""
        self.record = self._on.store.change(self.record, edit)
        return self.record

    def time_left(self) -> float:
        """Seconds left for a request. The wall clock counts too: the monotonic one stops while a machine sleeps."""
        clock, options = self._on.clock, self._on.options
        began_monotonic, began_wall = self._began
        passed = max(clock.monotonic() - began_monotonic, clock.now() - began_wall)
        left = options.lease_ttl - options.write_reserve - passed
        return min(left, options.request_budget)

    def trade(self, refresh_token: str | None) -> Outcome:
        """Send the grant once, with ``refresh_token`` if it has one; an answer that got lost is asked for once more.

        Raises:
            LeaseLost: too late to send; the lease belongs, or may belong, to somebody else.
        """
        outcome = self._send(refresh_token)
        if refresh_token is None or not isinstance(outcome, OutcomeUnknown):
            return outcome
        # The server rotated or it did not; in both cases nothing is lost by asking again (facts: in-doubt branch).
        self.lost = True
        self.told(Step.IN_DOUBT)
        try:
            return self._send(refresh_token)
        except LeaseLost:
            return outcome

    def _send(self, refresh_token: str | None) -> Outcome:
        grant = self._on.grant
        if refresh_token is not None and isinstance(grant, RefreshToken):
            self._journal(refresh_token)
            grant = grant.holding(refresh_token)
        left = self.time_left()
        if left < self._on.options.request_budget / 10:
            raise LeaseLost
        self.told(Step.SENDING)
        self._unsent = False
        outcome = exchange_patiently(
            lambda budget: self._on.endpoint.exchange(grant, budget=budget),
            single_use=grant.single_use,
            clock=self._on.clock,
            budget=left,
        )
        self._outcome = type(outcome).__name__
        self.told(Step.ANSWERED, self._outcome)
        return outcome

    def _journal(self, refresh_token: str) -> None:
        mark = self._on.store.cipher.mark(refresh_token)
        sent_at = self.record.read.store_now(self._on.clock)
        entry = Journal(self._lease.fence, mark, sent_at, doubtful=self.lost)
        lineage = self.record.lineage
        record = self.apply(edits.journal(self._lease, lineage, entry))
        if not edits.holds(record, self._lease, lineage):
            raise LeaseLost
        self._unsent = True
        self.told(Step.JOURNALED)

    def persist(self, granted: Granted) -> GrantRecord:
        """Store what came, before anybody uses it; returns what is stored then, which may be newer than what came.

        Raises:
            TokenStoreError: the store took no write; the token is in a recovery file.
        """
        rescued = Rescued(
            grant_key=self._on.grant_key,
            fence=self._lease.fence,
            lineage=self.record.lineage,
            token=moved(granted.token, self.record.read.offset),
            refresh_token=granted.refresh_token,
        )
        record = self._write_or_rescue(rescued)
        kept = record.token == rescued.token
        if not kept:
            self._outcome = "Granted, but somebody rotated meanwhile"
        self.told(Step.PERSISTED if kept else Step.LINEAGE_LOST)
        return record

    def _write_or_rescue(self, rescued: Rescued) -> GrantRecord:
        while True:
            failure = self._write(rescued)
            if failure is None:
                return self.record
            if self.time_left() + self._on.options.write_reserve <= _WRITE_PAUSE:
                break
            self._on.clock.sleep(_WRITE_PAUSE)
        path = self._on.store.recovery.save(rescued)
        self.told(Step.RESCUED)
        _log.error(
            "token store down: the new token of %.12s is kept in %s", rescued.grant_key, path
        )
        raise failure

    def _write(self, rescued: Rescued) -> TokenStoreError | None:
        try:
            self.apply(self._granted_edit(rescued))
        except TokenStoreError as failure:
            return failure
        return None

    def _granted_edit(self, rescued: Rescued) -> Edit:
        came = rescued.refresh_token
        return edits.granted(rescued, None if came is None else self._on.store.cipher.mark(came))

    def recover(self) -> None:
        """Import what earlier turns on this machine could not store."""
        for path, rescued in self._on.store.recovery.load(self._on.grant_key):
            self.apply(self._granted_edit(rescued))
            self._on.store.recovery.done(path)
            self.told(Step.RECOVERED)

    def give_up(self, outcome: Rejected | NotProcessed | OutcomeUnknown) -> OAuthTaskflowError:
        """Note the failure for every worker and release the lease; returns the error to raise.

        Raises:
            LeaseLost: somebody else has the lease or rotated by now, and knows better.
        """
        error = outcome.error
        if self.lost and isinstance(error, InvalidGrant):
            error = self._lost(error)
        lineage = self.record.lineage
        self.apply(
            edits.failed(
                self._lease,
                lineage,
                error,
                state=_state_after(outcome),
                client=self._on.marks.client[0],
                until=self._until(outcome),
                spent=isinstance(outcome, OutcomeUnknown),
            )
        )
        if self.record.lease.fence != self._lease.fence or self.record.lineage != lineage:
            raise LeaseLost
        self._outcome = type(error).__name__
        self.told(Step.FAILED, self._outcome)
        return error

    def _lost(self, error: InvalidGrant) -> RefreshResponseLost:
        return RefreshResponseLost(
            "The refresh token was sent, its answer never arrived, and the server now refuses it "
            f"({error.error}, HTTP {error.status})",
            where=error.where,
            hint="Nobody revoked it: a worker or the network died in between. Authorize the connection again.",
        )

    def _until(self, outcome: Rejected | NotProcessed | OutcomeUnknown) -> float | None:
        if _state_after(outcome) is GrantState.NEEDS_CONSENT:
            return None
        failures = self.record.trouble.failures if self.record.trouble else 0
        refused = isinstance(outcome, Rejected)
        base = _REFUSED_COOLDOWN if refused else self._on.options.cooldown
        pause: float = min(base * (1 << min(failures, 4)), _LONGEST_COOLDOWN)
        asked = outcome.error.retry_after
        return self.record.read.store_now(self._on.clock) + max(pause, asked or 0.0)

    def audit(self) -> None:
        """One log line that explains this turn without a secret; the token endpoint's refusals included."""
        _log.log(
            logging.DEBUG if self._outcome == _NOTHING_SENT else logging.INFO,
            "refresh grant=%.12s conn_id=%s version=%d fence=%d outcome=%s duration=%.3fs in_doubt=%s",
            self._on.grant_key,
            self._on.endpoint.conn_id,
            self.record.version,
            self._lease.fence,
            self._outcome,
            self._on.clock.monotonic() - self._began[0],
            self.lost,
        )

    def release(self) -> None:
        """Give the lease back if it is still ours. A store that fails here only makes others wait."""
        try:
            self.apply(edits.release(self._lease, unsent=self._unsent))
        except TokenStoreError as failure:
            _log.warning("lease of grant %.12s not released: %s", self._on.grant_key, failure)
            return
        self.told(Step.RELEASED)


def _state_after(outcome: Rejected | NotProcessed | OutcomeUnknown) -> GrantState | None:
    if not isinstance(outcome, Rejected):
        return None
    dead = isinstance(outcome.error, InvalidGrant | ConsentRequired)
    return GrantState.NEEDS_CONSENT if dead else GrantState.MISCONFIGURED
