"""The record that the store keeps for one grant, as immutable values. No I/O.

Instants in a record are seconds on the *store's* clock, so that workers whose clocks differ agree on them. A
``ClockSample`` ties that clock to the reader's clocks.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

import oauth_taskflow.errors
from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import OAuthTaskflowError, TokenRequestError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.state.consent import Consent
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer


class GrantState(Enum):
    """Whether a token may be requested. Fresh, stale and expired are the token's states, not the grant's."""

    EMPTY = "empty"
    ACTIVE = "active"
    NEEDS_CONSENT = "needs_consent"
    MISCONFIGURED = "misconfigured"
    REVOKED = "revoked"


class ClockSample(Struct, frozen=True):
    """One moment on three clocks: the store's, this machine's wall clock and its monotonic clock (seconds)."""

    store: float
    wall: float
    monotonic: float

    @property
    def offset(self) -> float:
        """The store's clock minus ours."""
        return self.store - self.wall

    def store_now(self, clock: Clock) -> float:
        """The store's clock now, without asking it."""
        return self.store + clock.monotonic() - self.monotonic


class Lease(Struct, frozen=True):
    """The right to refresh: its owner and its end. ``fence`` grows with every owner."""

    owner: str | None = None
    until: float | None = None
    fence: int = 0


class Journal(Struct, frozen=True):
    """Written before a refresh token is sent, cleared with its answer. One that is found later misses its answer.

    ``fingerprint`` is that of the refresh token. ``doubtful`` is set once an earlier sending of the same refresh token had
    no known end.
    """

    fence: int
    fingerprint: str
    sent_at: float
    doubtful: bool = False


# Next to the facts of the error: releases that do not know it keep the fact, and other columns would stop them.
_SINCE = "failing_since"


class LastFailure(Struct, frozen=True):
    """The last failure, which every worker raises until ``until`` (None: until the connection changes).

    ``client`` is the fingerprint of the client credentials that failed, so that corrected ones are tried at once.
    """

    kind: str
    facts: dict[str, Any]
    client: str
    until: float | None = None
    failures: int = 1

    @classmethod
    def from_error(
        cls, error: OAuthTaskflowError, client: str, until: float | None, failures: int
    ) -> LastFailure:
        """The storable form of ``error``."""
        return cls(type(error).__name__, dict(vars(error)), client, until, failures)

    @property
    def since(self) -> float | None:
        """When the first of these failures happened (store's clock); None if an earlier release noted it."""
        noted = self.facts.get(_SINCE)
        return noted if isinstance(noted, float) else None

    def follow(self, before: LastFailure | None, now: float) -> LastFailure:
        """This failure at ``now`` (store's clock), the next one after ``before``: both began at the same time."""
        since = before.since if before is not None else None
        return replace(self, facts={**self.facts, _SINCE: now if since is None else since})

    def to_error(self, now: float) -> OAuthTaskflowError:
        """The failure as an error to raise; its ``retry_after`` is the rest of the cool-down."""
        kind = getattr(oauth_taskflow.errors, self.kind, TokenRequestError)
        rebuild, (_, facts) = OAuthTaskflowError(str(self.facts.get("what"))).__reduce__()
        known = {name: value for name, value in self.facts.items() if name != _SINCE}
        error: OAuthTaskflowError = rebuild(kind, {**facts, **known})
        error.retry_after = None if self.until is None else max(self.until - now, 0.0)
        return error


class GrantRecord(SecretValue, frozen=True):
    """One row of the store. ``revision`` counts writes; ``version`` counts changes of the encrypted part.

    Attributes:
        token: the latest access token.
        refresh_token: the one to send next; ``lineage`` is its fingerprint.
        alternates: refresh tokens that may still work, newest first.
        seeds: fingerprints of the refresh tokens that connections brought in.
        dpop_key: the private key that proves requests for this grant (RFC 9449); empty without DPoP.
        consent: the known facts of the person's consent behind a refresh token.
        consent_fence: the first fence whose answers belong to that consent.
        consent_id: names that consent, so that its answer is stored once although it may wait in a file.
        consented_by: the user who led the person to the consent, as Airflow or the machine names them; empty if unknown.
        doubted_at: when a token was last fetched because the API refused a new one (see ``api_refusals``).
        answer: the latest answer with tokens in it, as it arrived (see ``kept_answer``).
        predecessor: the refresh token that was sent for ``answer``, where it is not certain that the received one
            replaces it. It is sent once, after ``invalid_grant``.
        origin: the key of the grant that the refresh token is being moved from (see ``dpop_change``).
        left_scope: the scope of the token that was left behind there.
        read_at: when this record was read.
    """

    grant_key: str
    conn_id: str = ""
    revision: int = 0
    version: int = 0
    state: GrantState = GrantState.EMPTY
    token: Token | None = None
    refresh_token: Hidden[str | None] = None
    alternates: Hidden[tuple[str, ...]] = ()
    seeds: Hidden[tuple[str, ...]] = ()
    dpop_key: Hidden[str] = ""
    consent: Consent | None = None
    consent_fence: int = 0
    consent_id: str = ""
    consented_by: str = ""
    doubted_at: float | None = None
    answer: KeptAnswer | None = None
    predecessor: Hidden[str] = ""
    origin: str = ""
    left_scope: str = ""
    lineage: str = ""
    journal: Journal | None = None
    last_failure: LastFailure | None = None
    lease: Lease = Lease()
    read_at: ClockSample = ClockSample(0.0, 0.0, 0.0)

    @property
    def secret_part(self) -> dict[str, Any]:
        """The part that is encrypted, as JSON values."""
        return {
            "token": None if self.token is None else token_fields(self.token),
            "refresh_token": self.refresh_token,
            "alternates": list(self.alternates),
            "seeds": list(self.seeds),
            **({"dpop_key": self.dpop_key} if self.dpop_key else {}),
            **({"consent": asdict(self.consent)} if self.consent else {}),
            **({"consent_fence": self.consent_fence} if self.consent_fence else {}),
            **({"consent_id": self.consent_id} if self.consent_id else {}),
            **({"consented_by": self.consented_by} if self.consented_by else {}),
            **({"doubted_at": self.doubted_at} if self.doubted_at is not None else {}),
            **({"answer": self.answer.fields} if self.answer else {}),
            **({"predecessor": self.predecessor} if self.predecessor else {}),
            **({"origin": self.origin} if self.origin else {}),
            **({"left_scope": self.left_scope} if self.left_scope else {}),
        }

    def with_secret_part(self, part: dict[str, Any]) -> GrantRecord:
        """This record with the decrypted ``part``."""
        return replace(
            self,
            token=None if part["token"] is None else Token(**part["token"]),
            refresh_token=part["refresh_token"],
            alternates=tuple(part["alternates"]),
            seeds=tuple(part["seeds"]),
            dpop_key=part.get("dpop_key", ""),
            consent=Consent(**part["consent"]) if part.get("consent") else None,
            consent_fence=part.get("consent_fence", 0),
            consent_id=part.get("consent_id", ""),
            consented_by=part.get("consented_by", ""),
            doubted_at=part.get("doubted_at"),
            answer=KeptAnswer.from_fields(part["answer"]) if part.get("answer") else None,
            predecessor=part.get("predecessor", ""),
            origin=part.get("origin", ""),
            left_scope=part.get("left_scope", ""),
        )

    def without_secrets(self) -> GrantRecord:
        """This record for showing: empty texts stand for its secrets, so that it is still known which ones there are."""
        token = self.token
        return replace(
            self,
            token=None
            if token is None
            else replace(token, access_token="", dpop_key="", extras={}),
            refresh_token=None if self.refresh_token is None else "",
            alternates=(),
            dpop_key="",
            answer=None,
            predecessor="",
        )

    @property
    def scope(self) -> str:
        """The scope that the person granted: that of the latest token; empty when it is not known."""
        return self.left_scope if self.token is None else self.token.scope or ""

    def local_token(self) -> Token | None:
        """The token with its instants on this machine's clock."""
        return None if self.token is None else shift_clock(self.token, -self.read_at.offset)

    def is_usable(self, now: float, refused: str | None) -> bool:
        """Whether the token has not expired at ``now`` (store clock) and is not the ``refused`` one."""
        token = self.token
        if token is None or token.access_token == refused:
            return False
        return token.expires_at is None or now < token.expires_at

    def consent_due(self, now: float) -> float | None:
        """Seconds from ``now`` (store clock) until a person must agree again; 0 at once, None when nothing is known."""
        if self.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
            return 0.0
        ends_at = self.consent.ends_at if self.consent else None
        return None if ends_at is None else max(ends_at - now, 0.0)


def token_fields(token: Token) -> dict[str, Any]:
    """``token`` as JSON values. Without DPoP, version 0.1, which may run at the same time, reads them too."""
    fields = asdict(token)
    del fields["proof"]  # computed again for each holder of the token
    del fields["kept_until"]  # follows from ``doubted_at``
    if not token.dpop_key:
        del fields["dpop_key"]
    return fields


def shift_clock(token: Token, seconds: float) -> Token:
    """``token`` with its instants on a clock that is ``seconds`` ahead."""
    expires_at = None if token.expires_at is None else token.expires_at + seconds
    kept_until = None if token.kept_until is None else token.kept_until + seconds
    return replace(
        token,
        obtained_at=token.obtained_at + seconds,
        expires_at=expires_at,
        kept_until=kept_until,
    )
