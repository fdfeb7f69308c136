"""The operations of people on a stored grant: read it, store a new consent, end it. Tasks only refresh."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError, TokenRequestError, TokenUndecryptable
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.tokens.cipher import name_connection
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.consent import renew_consent
from oauth_taskflow.tokens.state.failures import explain_kept_answer
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, LastFailure, shift_clock
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

    def store_consent(
        self, granted: Granted, answer: TokenHttpResponse | None = None, *, by: str = ""
    ) -> GrantRecord:
        """Store the tokens of a person's new consent, with their ``answer``; the old consent's tokens are removed.

        ``by`` names the user who asked for it.

        Its DPoP key is removed too. A worker that refreshes the old consent at this moment finds its lineage gone and
        cannot overwrite the new one. The refresh token written in the connection counts as seen, so that it does not
        supersede the newer consent.
        """

        def transition(record: GrantRecord) -> GrantRecord:
            token = shift_clock(granted.token, record.read_at.offset)
            known = self._context.options.refresh_lifetimes
            new = self._apply_consent(record, granted.refresh_token, answer, held=False)
            return replace(
                new,
                consented_by=by,
                token=token,
                dpop_key=granted.token.dpop_key,
                consent=renew_consent(None, token, known, rotated=True)
                if new.refresh_token
                else None,
            )

        self._drop_unreadable()
        return self._change(transition)

    def store_unusable_consent(
        self,
        outcome: Unusable,
        answer: TokenHttpResponse | None,
        *,
        dpop_key: str = "",
        by: str = "",
    ) -> OAuthTaskflowError:
        """Store the refresh token of a new consent whose ``answer`` cannot be used yet; returns the error to raise.

        ``dpop_key`` is the key that the request was proved with.
        """
        error, now = explain_kept_answer(outcome), self._context.clock.now()

        def transition(record: GrantRecord) -> GrantRecord:
            until = None if outcome.opaque else now + record.read_at.offset
            failure = LastFailure.from_error(error, self._context.fingerprints.client[0], until, 1)
            failure = failure.follow(None, record.read_at.store)
            new = self._apply_consent(record, outcome.refresh_token, answer, held=outcome.opaque)
            new = replace(
                new, state=GrantState.MISCONFIGURED, last_failure=failure, consented_by=by
            )
            return replace(new, token=None, consent=None, dpop_key=dpop_key)

        self._drop_unreadable()
        self._change(transition)
        return error

    def _apply_consent(
        self,
        record: GrantRecord,
        refresh_token: str | None,
        answer: TokenHttpResponse | None,
        *,
        held: bool,
    ) -> GrantRecord:
        """``record`` with a new consent's refresh token and without anything of the old consent."""
        fingerprint = self._context.store.cipher.fingerprint(refresh_token) if refresh_token else ""
        arrived = KeptAnswer.from_answer(answer, record.read_at.offset) if answer else None
        return replace(
            transitions.remember_seeds(record, *self._context.fingerprints.seed, fingerprint),
            conn_id=self._context.conn_id,
            state=GrantState.ACTIVE,
            refresh_token=refresh_token,
            lineage=fingerprint,
            alternates=(),
            answer=arrived.add_reading(self._context.fingerprints.reading, held=held)
            if arrived
            else None,
            predecessor="",
            origin="",
            left_scope="",
            consent_fence=record.lease.fence + 1,
            journal=None,
            last_failure=None,
        )

    def store_revocation(self) -> GrantRecord:
        """Record that the authorization server ended the grant: its tokens are removed, and no worker requests any.

        The refresh token written in the connection counts as seen: it is dead too.
        """
        conn_id = self._context.conn_id
        error = TokenRequestError(
            "The grant was revoked by a person",
            where=f"for connection {conn_id!r}",
            hint=f"Authorize it again: airflow oauth login {conn_id}",
        )
        client = self._context.fingerprints.client[0]
        return self._change(
            lambda record: replace(
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
                last_failure=LastFailure.from_error(error, client, None, 1).follow(
                    None, record.read_at.store
                ),
            )
        )

    def forget(self) -> None:
        """Delete the record; see ``forget_grant``."""
        forget_grant(self._context.store, self._context.grant_key)

    def _drop_unreadable(self) -> None:
        """Delete a record that no key opens: it would block a new consent, and has no other use."""
        try:
            self.read()
        except TokenUndecryptable:
            self._context.store.forget(self._context.grant_key)

    def _change(self, transition: Transition) -> GrantRecord:
        """Apply ``transition`` under the lease if it is free, without waiting for a worker that is refreshing."""
        store, key = self._context.store, self._context.grant_key
        attempt = lease_owner.new_attempt(self._context.clock.monotonic() + _LEASE_SECONDS)
        leased = store.acquire(key, owner=attempt, ttl=_LEASE_SECONDS)
        record = store.change(leased or store.read(key), transition)
        if leased is None:
            return record
        return store.change(record, transitions.release_lease(leased.lease, unsent=False))


def forget_grant(store: TokenStore, grant_key: str) -> None:
    """Delete a record and its recovery files, without notifying the authorization server."""
    for path, _ in store.recovery.load(grant_key):
        store.recovery.remove(path)
    store.forget(grant_key)
