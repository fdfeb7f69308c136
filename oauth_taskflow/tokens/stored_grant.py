"""What people do with a stored grant: look at it, put a new consent in, end it. Tasks only ever refresh."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError, TokenRequestError, TokenUndecryptable
from oauth_taskflow.oauth.endpoint.messages import Answer
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.tokens.cipher import name_connection
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.consent import renewed
from oauth_taskflow.tokens.state.failures import as_kept
from oauth_taskflow.tokens.state.kept_answer import Arrived
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Trouble, moved
from oauth_taskflow.tokens.state.transitions import Transition
from oauth_taskflow.tokens.store import TokenStore

_LEASE_SECONDS = 10.0  # a worker on another machine waits so long for one that dies here


class StoredGrant:
    """One grant of one store. Every operation raises ``TokenStoreError`` when the store fails."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context

    @property
    def key(self) -> str:
        """The grant key: a hash, fit for logs."""
        return self._context.grant_key

    def read(self) -> GrantRecord:
        """What is stored; an empty record when nothing is."""
        try:
            return self._context.store.read(self._context.grant_key)
        except TokenUndecryptable as failure:
            name_connection(failure, self._context.conn_id, self._context.store.name)
            raise

    def consented(self, granted: Granted, answer: Answer | None = None) -> GrantRecord:
        """Store what a person's new consent brought, in ``answer``; the old consent's tokens are gone afterwards.

        So is its DPoP key. A worker that refreshes the old one at this moment finds its lineage gone and cannot
        overwrite this. The refresh token written in the connection counts as seen, so that it does not supersede the
        newer consent.
        """

        def transition(record: GrantRecord) -> GrantRecord:
            token = moved(granted.token, record.read.offset)
            known = self._context.options.refresh_lifetimes
            new = self._consented(record, granted.refresh_token, answer, held=False)
            return replace(
                new,
                token=token,
                dpop_key=granted.token.dpop_key,
                consent=renewed(None, token, known, rotated=True) if new.refresh_token else None,
            )

        self._drop_unreadable()
        return self._change(transition)

    def consented_unusable(
        self, outcome: Unusable, answer: Answer | None, *, dpop_key: str = ""
    ) -> OAuthTaskflowError:
        """Store the refresh token of a new consent whose ``answer`` cannot be used yet; returns the error to raise.

        ``dpop_key`` is the key that the request was proved with.
        """
        error, now = as_kept(outcome), self._context.clock.now()

        def transition(record: GrantRecord) -> GrantRecord:
            until = None if outcome.opaque else now + record.read.offset
            trouble = Trouble.of(error, self._context.marks.client[0], until, 1)
            new = self._consented(record, outcome.refresh_token, answer, held=outcome.opaque)
            new = replace(new, state=GrantState.MISCONFIGURED, trouble=trouble)
            return replace(new, token=None, consent=None, dpop_key=dpop_key)

        self._drop_unreadable()
        self._change(transition)
        return error

    def _consented(
        self, record: GrantRecord, refresh_token: str | None, answer: Answer | None, *, held: bool
    ) -> GrantRecord:
        """``record`` with a new consent's refresh token, and nothing of the old one."""
        mark = self._context.store.cipher.mark(refresh_token) if refresh_token else ""
        arrived = Arrived.of(answer, record.read.offset) if answer else None
        return replace(
            transitions.known(record, *self._context.marks.seed, mark),
            conn_id=self._context.conn_id,
            state=GrantState.ACTIVE,
            refresh_token=refresh_token,
            lineage=mark,
            alternates=(),
            answer=arrived.read(self._context.marks.reading, held=held) if arrived else None,
            predecessor="",
            origin="",
            left_scope="",
            consent_fence=record.lease.fence + 1,
            journal=None,
            trouble=None,
        )

    def revoked(self) -> GrantRecord:
        """Note that the authorization server ended the grant: no tokens are left, and no worker asks for any.

        The refresh token written in the connection counts as seen: it is dead too.
        """
        conn_id = self._context.conn_id
        error = TokenRequestError(
            "The grant was revoked by a person",
            where=f"for connection {conn_id!r}",
            hint=f"Authorize it again: airflow oauth login {conn_id}",
        )
        client = self._context.marks.client[0]
        return self._change(
            lambda record: replace(
                transitions.known(record, *self._context.marks.seed),
                state=GrantState.REVOKED,
                token=None,
                refresh_token=None,
                lineage="",
                alternates=(),
                dpop_key="",
                consent=None,
                consent_fence=record.lease.fence + 1,
                answer=None,
                predecessor="",
                origin="",
                left_scope="",
                journal=None,
                trouble=Trouble.of(error, client, None, 1),
            )
        )

    def forget(self) -> None:
        """Delete the record; see ``forget_grant``."""
        forget_grant(self._context.store, self._context.grant_key)

    def _drop_unreadable(self) -> None:
        """A record that no key opens stands in the way of a new consent, and is of no other use."""
        try:
            self.read()
        except TokenUndecryptable:
            self._context.store.forget(self._context.grant_key)

    def _change(self, transition: Transition) -> GrantRecord:
        """Apply ``transition`` under the lease if it can be had; a holder that is in the middle of a refresh is not waited for."""
        store, key = self._context.store, self._context.grant_key
        attempt = lease_owner.new_attempt(self._context.clock.monotonic() + _LEASE_SECONDS)
        leased = store.acquire(key, owner=attempt, ttl=_LEASE_SECONDS)
        record = store.change(leased or store.read(key), transition)
        if leased is None:
            return record
        return store.change(record, transitions.release(leased.lease, unsent=False))


def forget_grant(store: TokenStore, grant_key: str) -> None:
    """Delete a record, and what of it waits in recovery files. The authorization server is not told."""
    for path, _ in store.recovery.load(grant_key):
        store.recovery.done(path)
    store.forget(grant_key)
