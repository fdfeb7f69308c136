"""Turns answers of the token endpoint into the transitions that store them. Reads no store and keeps no state."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Unusable
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import answer_transitions, transitions
from oauth_taskflow.tokens.state.answer_transitions import Found, Verdict
from oauth_taskflow.tokens.state.failures import as_kept, cool_down
from oauth_taskflow.tokens.state.kept_answer import Arrived
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Trouble, moved
from oauth_taskflow.tokens.state.rescued import Rescued
from oauth_taskflow.tokens.state.transitions import Transition

_log = logging.getLogger("oauth_taskflow.tokens")


class AnswerReader:
    """Reads answers in the way that the connection says now."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context

    def interpret(self, arrived: Arrived, record: GrantRecord) -> Outcome:
        """What ``arrived`` means for ``record``."""
        endpoint, grant = self._context.endpoint.proving(record.dpop_key), self._context.grant
        if isinstance(grant, RefreshToken) and record.refresh_token:
            grant = grant.holding(record.refresh_token)
        return interpret(arrived.answer(record.read.offset), endpoint.question(grant))

    def add_grant(self, rescued: Rescued, granted: Granted, record: GrantRecord) -> Rescued:
        """``rescued`` with the tokens that its answer granted."""
        return replace(
            rescued,
            token=moved(granted.token, record.read.offset),
            refresh_token=granted.refresh_token,
            answer=self._as_read(rescued, held=False),
            misplaced=self._is_misplaced(granted),
        )

    def add_unusable(self, rescued: Rescued, outcome: Unusable) -> Rescued:
        """``rescued`` with the refresh token of an answer that cannot be used."""
        return replace(
            rescued,
            refresh_token=outcome.refresh_token,
            answer=self._as_read(rescued, held=outcome.opaque),
            misplaced=self._is_misplaced(outcome),
        )

    def _as_read(self, rescued: Rescued, *, held: bool) -> Arrived | None:
        answer = rescued.answer
        return None if answer is None else answer.read(self._context.marks.reading, held=held)

    def _is_misplaced(self, outcome: Granted | Unusable) -> bool:
        if outcome.found_at:
            _log.warning(
                "connection %s: the refresh token is not at %s in the answer but at %s; it is kept. Correct refresh_token_path",
                self._context.conn_id,
                self._context.endpoint.dialect.response.refresh_token,
                outcome.found_at[:80],
            )
        return bool(outcome.found_at)

    def mark(self, rescued: Rescued) -> str | None:
        """The mark of the refresh token that came; None when none came."""
        came = rescued.refresh_token
        return None if came is None else self._context.store.cipher.mark(came)

    def store_grant(self, rescued: Rescued) -> Transition:
        """The transition that stores the tokens of ``rescued``."""
        lifetimes = self._context.options.refresh_lifetimes
        return transitions.granted(rescued, self.mark(rescued), lifetimes)

    def store_unusable(
        self, rescued: Rescued, outcome: Unusable, record: GrantRecord
    ) -> Transition:
        """The transition that stores the answer of ``rescued``, and the failure that ``outcome`` means."""
        trouble, now = record.trouble, record.read.store_now(self._context.clock)
        failures = trouble.failures if trouble else 0
        pause = cool_down(outcome, GrantState.MISCONFIGURED, failures, self._context.options)
        until = None if outcome.opaque or pause is None else now + pause
        latest = Trouble.of(as_kept(outcome), self._context.marks.client[0], until, failures + 1)
        verdict = Verdict(latest, lasting=outcome.opaque)
        return answer_transitions.unusable(rescued, self.mark(rescued), verdict)

    def import_rescued(self, rescued: Rescued, record: GrantRecord) -> Transition:
        """The transition that stores what an earlier attempt left in a recovery file."""
        if rescued.token is not None or rescued.answer is None:
            return self.store_grant(rescued)
        outcome = self.interpret(rescued.answer, record)
        if isinstance(outcome, Granted):
            return self.store_grant(self.add_grant(rescued, outcome, record))
        if isinstance(outcome, Unusable):
            return self.store_unusable(self.add_unusable(rescued, outcome), outcome, record)
        return answer_transitions.answered(rescued)

    def read_again(self, before: Arrived, record: GrantRecord) -> Found:
        """The tokens that are found in the stored answer ``before`` today."""
        outcome = self.interpret(before, record)
        token = moved(outcome.token, record.read.offset) if isinstance(outcome, Granted) else None
        came = outcome.refresh_token if isinstance(outcome, Granted | Unusable) else None
        held = isinstance(outcome, Unusable) and outcome.opaque
        mark = self._context.store.cipher.mark(came) if came else ""
        return Found(before.read(self._context.marks.reading, held=held), token, came, mark)
