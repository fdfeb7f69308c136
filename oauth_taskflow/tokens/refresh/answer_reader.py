"""Turns answers of the token endpoint into the transitions that store them. Reads no store and keeps no state."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Unusable
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.refresh.consent_writer import ConsentWriter
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import answer_transitions, transitions
from oauth_taskflow.tokens.state.answer_transitions import AnswerFailure, FoundTokens
from oauth_taskflow.tokens.state.failures import cooldown_seconds, explain_kept_answer
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, LastFailure, shift_clock
from oauth_taskflow.tokens.state.rescued import RescuedAnswer
from oauth_taskflow.tokens.state.transitions import Transition

_log = logging.getLogger("oauth_taskflow.tokens")


class AnswerReader:
    """Reads answers in the way that the connection says now."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context

    def interpret(
        self, arrived: KeptAnswer, record: GrantRecord, sent: str | None = None
    ) -> Outcome:
        """Interpret ``arrived`` for ``record``; ``sent`` as in ``RescuedAnswer``."""
        endpoint, grant = self._context.endpoint.with_dpop_key(record.dpop_key), self._context.grant
        if isinstance(grant, RefreshToken) and (known := sent or record.refresh_token):
            grant = grant.with_refresh_token(known)
        return interpret(arrived.to_answer(record.read_at.offset), endpoint.describe_request(grant))

    def add_grant(
        self, rescued: RescuedAnswer, granted: Granted, record: GrantRecord
    ) -> RescuedAnswer:
        """``rescued`` with the tokens that its answer granted."""
        return replace(
            rescued,
            token=shift_clock(granted.token, record.read_at.offset),
            refresh_token=granted.refresh_token,
            others=granted.others,
            answer=self._as_read(rescued, held=False),
            misplaced=self._is_misplaced(granted),
        )

    def add_unusable(self, rescued: RescuedAnswer, outcome: Unusable) -> RescuedAnswer:
        """``rescued`` with the refresh token of an answer that cannot be used."""
        return replace(
            rescued,
            refresh_token=outcome.refresh_token,
            others=outcome.others,
            answer=self._as_read(rescued, held=outcome.opaque),
            misplaced=self._is_misplaced(outcome),
        )

    def _as_read(self, rescued: RescuedAnswer, *, held: bool) -> KeptAnswer | None:
        answer = rescued.answer
        return (
            None
            if answer is None
            else answer.add_reading(self._context.fingerprints.reading, held=held)
        )

    def _is_misplaced(self, outcome: Granted | Unusable) -> bool:
        if outcome.found_at:
            _log.warning(
                "connection %s: the refresh token is not at %s in the answer but at %s; it is kept. Correct refresh_token_path",
                self._context.conn_id,
                self._context.endpoint.dialect.response.refresh_token,
                outcome.found_at,
            )
        return bool(outcome.found_at)

    def fingerprint(self, rescued: RescuedAnswer) -> str | None:
        """The fingerprint of the received refresh token; None without one."""
        came = rescued.refresh_token
        return None if came is None else self._context.store.cipher.fingerprint(came)

    def store_grant(self, rescued: RescuedAnswer) -> Transition:
        """The transition that stores the tokens of ``rescued``."""
        lifetimes = self._context.options.refresh_lifetimes
        living = rescued.living
        fingerprint = None if living is None else self._context.store.cipher.fingerprint(living)
        return transitions.store_grant(rescued, fingerprint, lifetimes)

    def store_unusable(
        self, rescued: RescuedAnswer, outcome: Unusable, failure: LastFailure
    ) -> Transition:
        """The transition that stores the answer of ``rescued``, and the ``failure`` that ``outcome`` means."""
        lasting = AnswerFailure(failure, lasting=outcome.opaque, passing=outcome.cut)
        return answer_transitions.store_unusable(rescued, self.fingerprint(rescued), lasting)

    def explain_unusable(
        self, outcome: Unusable, record: GrantRecord
    ) -> tuple[OAuthTaskflowError, LastFailure]:
        """The error that ``outcome`` means for the grant of ``record``, and its stored form."""
        context, before = self._context, record.last_failure
        failures = before.failures if before else 0
        pause = cooldown_seconds(outcome, GrantState.MISCONFIGURED, failures, context.options)
        lasts = outcome.opaque or pause is None
        until = None if lasts else record.read_at.store_now(context.clock) + (pause or 0.0)
        asked_again_at = None if until is None or not pause else until - record.read_at.offset
        error = explain_kept_answer(outcome, context.conn_id, asked_again_at)
        client = context.fingerprints.client[0]
        return error, LastFailure.from_error(error, client, until, failures + 1)

    def import_rescued(self, rescued: RescuedAnswer, record: GrantRecord) -> Transition:
        """The transition that stores an answer that an earlier attempt, or a consent, left in a recovery file.

        ``record`` is read under the lease of the attempt that stores it.
        """
        if rescued.consent is not None:
            writer = ConsentWriter(self._context, rescued.consent, held=record.lease)
            return writer.import_rescued(rescued, record)
        if rescued.token is not None or rescued.answer is None:
            return self.store_grant(rescued)
        outcome = self.interpret(rescued.answer, record, rescued.sent)
        if isinstance(outcome, Granted):
            return self.store_grant(self.add_grant(rescued, outcome, record))
        if isinstance(outcome, Unusable):
            _, failure = self.explain_unusable(outcome, record)
            return self.store_unusable(self.add_unusable(rescued, outcome), outcome, failure)
        return answer_transitions.clear_journal(rescued)

    def read_again(self, before: KeptAnswer, record: GrantRecord) -> FoundTokens:
        """The tokens that are found in the stored answer ``before`` today."""
        outcome = self.interpret(before, record)
        token = (
            shift_clock(outcome.token, record.read_at.offset)
            if isinstance(outcome, Granted)
            else None
        )
        came = outcome.refresh_token if isinstance(outcome, Granted | Unusable) else None
        others = outcome.others if isinstance(outcome, Granted | Unusable) else ()
        held = isinstance(outcome, Unusable) and outcome.opaque
        fingerprint = self._context.store.cipher.fingerprint(came) if came else ""
        return FoundTokens(
            before.add_reading(self._context.fingerprints.reading, held=held),
            token,
            came,
            fingerprint,
            others,
        )
