"""The operations of people on a stored grant: read it, store a new consent, end it. Tasks only refresh."""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from oauth_taskflow.errors import TokenRequestError, TokenStoreError, TokenUndecryptable
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.tokens.cipher import name_connection
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.answer_file import AnswerFile
from oauth_taskflow.tokens.refresh.consent_writer import ConsentWriter, is_worth_keeping
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.failures import explain_kept_answer
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord, GrantState, LastFailure
from oauth_taskflow.tokens.state.rescued import ConsentFacts, RescuedAnswer
from oauth_taskflow.tokens.state.transitions import Transition
from oauth_taskflow.tokens.store import TokenStore

_LEASE_SECONDS = 10.0  # a worker on another machine waits so long for one that dies here


class StoredGrant:
    """One grant of one store. Every operation raises ``TokenStoreError`` when the store fails."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context

    def read(self) -> GrantRecord:
        """The stored record; an empty one if the grant is not stored."""
        try:
            return self._context.store.read(self._context.grant_key)
        except TokenUndecryptable as failure:
            name_connection(failure, self._context.conn_id, self._context.store.name)
            raise

    def expect_consent(self, *, by: str = "", dpop_key: str = "") -> ArrivingConsent:
        """A person's consent, shortly before its answer is asked for; it never raises, although the store may be away.

        ``by`` names the user who asked for the consent, ``dpop_key`` is the key that the request is proved with.
        """
        try:
            before, is_fenced = self.read(), True
        except TokenStoreError:
            clock = self._context.clock
            here = ClockSample(clock.now(), clock.now(), clock.monotonic())
            before, is_fenced = GrantRecord(self._context.grant_key, read_at=here), False
        facts = ConsentFacts(
            secrets.token_hex(8), self._context.conn_id, by, dpop_key, is_fenced=is_fenced
        )
        return ArrivingConsent(self, self._context, before, facts)

    def import_consents(self) -> None:
        """Store the consents whose answers wait in files of this machine; without any, the store is not asked."""
        recovery, key = self._context.store.recovery, self._context.grant_key
        for path, rescued in recovery.load(key) if recovery.has_pending(key) else ():
            if rescued.consent is not None:
                self.read_replaced()
                writer = ConsentWriter(self._context, rescued.consent)
                self.write(writer.import_rescued(rescued, self.read()))
                recovery.remove(path)

    def import_consents_to(self, grant_key: str) -> None:
        """Store the consents that wait for that grant: the connection had it when the person consented, and was edited since."""
        StoredGrant(replace(self._context, grant_key=grant_key)).import_consents()

    def store_revocation(self, revoked: GrantRecord) -> GrantRecord:
        """Record that the authorization server ended the grant: its tokens are removed, and no worker requests any.

        The refresh token written in the connection counts as seen: it is dead too. Returns the stored record; unchanged
        where a worker stored another refresh token than that of ``revoked``, which then still has to be revoked.
        """
        conn_id = self._context.conn_id
        error = TokenRequestError(
            "The grant was revoked by a person",
            where=f"for connection {conn_id!r}",
            hint=f"Authorize it again: airflow oauth login {conn_id}",
        )
        client = self._context.fingerprints.client[0]
        failure = LastFailure.from_error(error, client, None, 1)

        def transition(record: GrantRecord) -> GrantRecord | None:
            if not transitions.is_same(record.lineage, revoked.lineage):
                return None
            return replace(
                transitions.remember_seeds(record, *self._context.fingerprints.seed),
                state=GrantState.REVOKED,
                token=None,
                refresh_token=None,
                lineage="",
                alternates=(),
                dpop_key="",
                consent=None,
                consent_fence=record.lease.fence + 1,
                consented_by="",
                answer=None,
                predecessor="",
                origin="",
                left_scope="",
                journal=None,
                last_failure=failure.follow(None, record.read_at.store),
            )

        return self.write(transition)

    def forget(self) -> None:
        """Delete the record; see ``forget_grant``."""
        forget_grant(self._context.store, self._context.grant_key)

    def read_replaced(self) -> GrantRecord | None:
        """The grant that a new consent replaces. One that no key opens is deleted: it would block the new one."""
        try:
            return self.read()
        except TokenUndecryptable:
            self._context.store.forget(self._context.grant_key)
            return None

    def write(self, transition: Transition) -> GrantRecord:
        """Apply ``transition`` under the lease if it is free, without waiting for a worker that is refreshing."""
        store, key = self._context.store, self._context.grant_key
        attempt = lease_owner.new_attempt(self._context.clock.monotonic() + _LEASE_SECONDS)
        leased = store.acquire(key, owner=attempt, ttl=_LEASE_SECONDS)
        record = store.change(leased or store.read(key), transition)
        if leased is None:
            return record
        return store.change(record, transitions.release_lease(leased.lease, unsent=False))


class ArrivingConsent:
    """The answer to one consent of a person, from its arrival until the store has it.

    It is in a file first: a code is traded once, and the person would have to consent again. A killed process, or a store
    that is away, leaves the file behind for ``import_consents`` and the next refresh on this machine.
    """

    def __init__(
        self,
        stored: StoredGrant,
        context: RefreshContext,
        before: GrantRecord,
        facts: ConsentFacts,
    ) -> None:
        self._stored = stored
        self._context = context
        self._before = before
        self._facts = facts
        self._file = AnswerFile(context.store.recovery)
        self._answer: TokenHttpResponse | None = None

    def keep(self, answer: TokenHttpResponse) -> None:
        """Put an answer that may hold tokens into the file, before anything in it is judged."""
        self._answer = answer
        self._file.save(self._build_rescued(answer))

    def drop(self) -> None:
        """Remove the file of an answer that brought nothing."""
        self._file.remove()

    def store(self, outcome: Granted | Unusable) -> tuple[GrantRecord | None, GrantRecord]:
        """Store ``outcome``; returns the replaced record (None if no key opened it) and the new one.

        Raises:
            InvalidTokenResponse: no access token came. A refresh token that came is stored.
            TokenStoreError: the store failed; the answer is in a file.
        """
        writer = ConsentWriter(self._context, self._facts)
        if isinstance(outcome, Granted):
            stored = self._store(writer.store_granted(outcome, self._answer))
        elif is_worth_keeping(outcome):
            self._store(writer.store_unusable(outcome, self._answer))
            raise explain_kept_answer(outcome, self._context.conn_id)
        else:
            self.drop()
            raise outcome.error
        return stored

    def _store(self, transition: Transition) -> tuple[GrantRecord | None, GrantRecord]:
        try:
            stored = self._stored.read_replaced(), self._stored.write(transition)
        except TokenStoreError as failure:
            raise self.explain(failure) from failure
        self._file.remove()
        return stored

    def explain(self, failure: TokenStoreError) -> TokenStoreError:
        """The error about a store that fails although the answer came; it says where the answer is.

        Raises:
            TokenStoreError: the answer could not be written into a file either.
        """
        if self._answer is None:
            return failure
        path = self._file.require(self._build_rescued(self._answer))
        return TokenStoreError(
            "The consent succeeded, and its tokens wait in an encrypted file, because the token store did not take them",
            where=f"at {path}",
            hint=f"Do not consent again: this machine stores them once the token store is back. {failure}",
        )

    def _build_rescued(self, answer: TokenHttpResponse) -> RescuedAnswer:
        before = self._before
        arrived = KeptAnswer.from_answer(answer, before.read_at.offset)
        where = (before.grant_key, before.lease.fence, before.lineage)
        return RescuedAnswer(*where, None, None, arrived, consent=self._facts)


def forget_grant(store: TokenStore, grant_key: str) -> None:
    """Delete a record and its recovery files, without notifying the authorization server."""
    for path, _ in store.recovery.load(grant_key):
        store.recovery.remove(path)
    store.forget(grant_key)
