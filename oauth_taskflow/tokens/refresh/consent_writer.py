"""How a record changes with a person's new consent: at once, or out of the file that kept its answer. Reads no store."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.consent import renew_consent
from oauth_taskflow.tokens.state.failures import explain_kept_answer
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import (
    GrantRecord,
    GrantState,
    LastFailure,
    Lease,
    shift_clock,
)
from oauth_taskflow.tokens.state.rescued import ConsentFacts, RescuedAnswer
from oauth_taskflow.tokens.state.transitions import Transition


class ConsentWriter:
    """Writes the result of the consent with those ``facts`` in the place of the old one, once.

    ``held`` is the lease of an attempt that goes on afterwards: its later answers belong to the new consent.
    """

    def __init__(
        self, context: RefreshContext, facts: ConsentFacts, held: Lease | None = None
    ) -> None:
        self._context = context
        self._facts = facts
        self._held = held

    def store_granted(self, granted: Granted, answer: TokenHttpResponse | None) -> Transition:
        """The transition that stores the tokens of ``granted``.

        The old consent's tokens and its DPoP key are removed. A worker that refreshes the old consent at this moment finds
        its lineage gone and cannot overwrite the new one. The refresh token written in the connection counts as seen, so
        that it does not supersede the newer consent.
        """

        def transition(record: GrantRecord) -> GrantRecord | None:
            if self._is_stored(record):
                return None
            token = shift_clock(granted.token, record.read_at.offset)
            known = self._context.options.refresh_lifetimes
            new = self._begin(record, granted, answer, held=False)
            consent = renew_consent(None, token, known, rotated=True)
            return replace(
                new,
                token=token,
                dpop_key=granted.token.dpop_key,
                consent=consent if new.refresh_token else None,
            )

        return transition

    def store_unusable(self, outcome: Unusable, answer: TokenHttpResponse | None) -> Transition:
        """The transition that stores the refresh token of an answer that cannot be used yet, and the failure."""
        context, now = self._context, self._context.clock.now()
        error = explain_kept_answer(outcome, context.conn_id)

        def transition(record: GrantRecord) -> GrantRecord | None:
            if self._is_stored(record):
                return None
            until = None if outcome.opaque else now + record.read_at.offset
            failure = LastFailure.from_error(error, context.fingerprints.client[0], until, 1)
            failure = failure.follow(None, record.read_at.store)
            new = self._begin(record, outcome, answer, held=outcome.opaque)
            new = replace(new, state=GrantState.MISCONFIGURED, last_failure=failure)
            return replace(new, token=None, consent=None, dpop_key=self._facts.dpop_key)

        return transition

    def import_rescued(self, rescued: RescuedAnswer, record: GrantRecord) -> Transition:
        """The transition that stores ``rescued``, unless the grant has it or was renewed or ended since."""
        assert rescued.answer is not None, "the answer to a consent is kept as it arrived"
        arrived = rescued.answer
        answer = arrived.to_answer(record.read_at.offset)
        endpoint = self._context.endpoint.with_dpop_key(self._facts.dpop_key)
        outcome = interpret(answer, endpoint.describe_request(self._context.grant))
        if isinstance(outcome, Granted):
            store = self.store_granted(outcome, answer)
        elif isinstance(outcome, Unusable) and is_worth_keeping(outcome):
            store = self.store_unusable(outcome, answer)
        else:
            return _change_nothing

        def transition(current: GrantRecord) -> GrantRecord | None:
            late = self._is_replaced(current, rescued.fence, arrived.sent_at)
            return None if late else store(current)

        return transition

    def _is_stored(self, record: GrantRecord) -> bool:
        return record.consent_id == self._facts.consent_id

    def _is_replaced(self, record: GrantRecord, fence: int, sent_at: float) -> bool:
        """Whether a later consent than the one of ``sent_at`` (store clock) is stored, or the grant was ended since."""
        if record.consent is not None and record.consent_id:
            return record.consent.since >= sent_at
        # The time of a revocation, or of a new refresh token in the connection, is not known.
        return self._facts.is_fenced and record.consent_fence > fence

    def _begin(
        self,
        record: GrantRecord,
        came: Granted | Unusable,
        answer: TokenHttpResponse | None,
        *,
        held: bool,
    ) -> GrantRecord:
        """``record`` with the refresh token that ``came`` with a new consent, and without anything of the old consent."""
        context, refresh_token = self._context, came.refresh_token
        fingerprint = context.store.cipher.fingerprint(refresh_token) if refresh_token else ""
        arrived = KeptAnswer.from_answer(answer, record.read_at.offset) if answer else None
        if arrived is not None:
            arrived = arrived.add_reading(context.fingerprints.reading, held=held)
        mine = self._held is not None and transitions.owns(record, self._held)
        return replace(
            transitions.remember_seeds(record, *context.fingerprints.seed, fingerprint),
            conn_id=context.conn_id,
            state=GrantState.ACTIVE,
            refresh_token=refresh_token,
            lineage=fingerprint,
            alternates=came.others,
            answer=arrived,
            predecessor="",
            origin="",
            left_scope="",
            consent_fence=record.lease.fence + (0 if mine else 1),
            consent_id=self._facts.consent_id,
            consented_by=self._facts.by,
            journal=None,
            last_failure=None,
        )


def is_worth_keeping(outcome: Unusable) -> bool:
    """Whether an answer without a usable access token holds a refresh token, or one that another setting may find."""
    return outcome.refresh_token is not None or (outcome.opaque and not outcome.broken)


def _change_nothing(_record: GrantRecord) -> GrantRecord | None:
    return None
