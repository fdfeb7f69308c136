"""The state of the authorization server: clients, access tokens and families of refresh tokens.

How refresh tokens behave, with rotation on:

* Each use spends the token and yields its successor; both belong to the family that began with the consent.
* A spent token that comes back is **reuse**: the whole family ends, its access tokens too (Okta, Auth0, Salesforce).
* Within the grace period after the first use, a spent token that comes back yields **a new pair** instead (Okta,
  Auth0, Smartcar). The earlier successor stays usable. This holds only while no successor was used: a used one proves
  that the response arrived, so an older token is reuse even inside the grace period (Auth0: "only the previous
  token").
* Rotation, commit and detection are atomic: of two simultaneous uses without grace exactly one succeeds, and the other
  ends the family.

With rotation off a refresh token stays usable and the response names no new one (Google).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from oauth_taskflow.clock import Clock


@dataclass(frozen=True)
class Client:
    """A registered client; one without secret is public (``none``).

    ``public_key`` (PEM) checks what it signs; ``certificate`` (DER) is what it must show for ``tls_client_auth``.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    auth_methods: frozenset[str] = frozenset({"client_secret_basic", "client_secret_post"})
    scopes: tuple[str, ...] = ()
    public_key: str = ""
    certificate: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class AccessToken:
    """An issued access token; ``expires_at`` None means never."""

    value: str = field(repr=False)
    client_id: str
    subject: str
    scope: str
    expires_at: float | None
    family: Family | None = field(default=None, repr=False)


@dataclass
class Family:
    """All refresh tokens that descend from one consent."""

    client_id: str
    subject: str
    scope: str
    used_at: float = 0.0
    revoked: bool = False
    live: set[str] = field(default_factory=set, repr=False)
    spent_at: dict[str, float] = field(default_factory=dict, repr=False)
    successors: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def in_grace(self, token: str, now: float, grace: float) -> bool:
        """Whether the spent ``token`` may be sent again: recently spent, and its answer unused."""
        unused = self.successors.get(token, set()) <= self.live
        return unused and now - self.spent_at[token] < grace


class ServerState:
    """The server's memory, safe to use from many threads.

    ``lock`` is reentrant; the token endpoint holds it for the length of one request, which makes a rotation atomic.
    ``count`` receives ``reuse_detected`` and ``revoked_families``.
    """

    def __init__(self, clock: Clock, count: Callable[[str], None]) -> None:
        self.lock = threading.RLock()
        self.clients: dict[str, Client] = {}
        self._clock = clock
        self.count = count
        self._access: dict[str, AccessToken] = {}
        self._ended: list[str] = []
        self._families: dict[str, Family] = {}

    def issue_access_token(
        self,
        *,
        client_id: str,
        subject: str,
        scope: str,
        lifetime: float | None,
        value: str = "",
        family: Family | None = None,
    ) -> AccessToken:
        """A new access token that lives ``lifetime`` seconds, or for ever."""
        expires_at = None if lifetime is None else self._clock.now() + lifetime
        value = value or secrets.token_urlsafe(24)
        token = AccessToken(value, client_id, subject, scope, expires_at, family)
        with self.lock:
            self._access[value] = token
        return token

    def access_tokens_of(self, family: Family) -> list[str]:
        """The access tokens issued to ``family`` so far."""
        with self.lock:
            return [value for value, token in self._access.items() if token.family is family]

    def access_token(self, value: str) -> AccessToken | None:
        """The access token ``value`` if it is valid now."""
        with self.lock:
            token = self._access.get(value)
        if token is None or (token.family is not None and token.family.revoked):
            return None
        if token.expires_at is not None and self._clock.now() >= token.expires_at:
            return None
        return token

    def list_issued(self) -> list[str]:
        """Every access and refresh token given out so far, ended ones included, for tests that look for them where they must not be."""
        with self.lock:
            return [*self._access, *self._ended, *self._families]

    def start_family(self, client_id: str, subject: str, scope: str, value: str = "") -> str:
        """The first refresh token of a new family: what a consent yields."""
        value = value or secrets.token_urlsafe(24)
        with self.lock:
            now = self._clock.now()
            self._families[value] = Family(client_id, subject, scope, now, live={value})
        return value

    def family(self, refresh_token: str) -> Family | None:
        """The family of a refresh token, living or not."""
        with self.lock:
            return self._families.get(refresh_token)

    def redeem(
        self, refresh_token: str, client_id: str, grace: float, idle: float | None = None
    ) -> Family | None:
        """The family, if this client may use this refresh token now; else None.

        Reuse of a spent token ends its family as a side effect, and so does one unused for ``idle`` seconds.
        """
        with self.lock:
            family = self._families.get(refresh_token)
            now = self._clock.now()
            if family is None or family.revoked or family.client_id != client_id:
                return None
            if idle is not None and now - family.used_at > idle:
                self.revoke_family(family)
                return None
            if refresh_token in family.live:
                family.used_at = now
                return family
            if family.in_grace(refresh_token, now, grace):
                return family
            self.count("reuse_detected")
            self.revoke_family(family)
            return None

    def rotate(self, family: Family, old: str, new: str) -> None:
        """Spend ``old``, whose successor is ``new``. A token spent again within grace keeps its first time."""
        with self.lock:
            family.live.discard(old)
            family.live.add(new)
            family.spent_at.setdefault(old, self._clock.now())
            family.successors.setdefault(old, set()).add(new)
            self._families[new] = family

    def revoke_family(self, family: Family) -> None:
        """End a family, whose refresh and access tokens then stop working."""
        with self.lock:
            if not family.revoked:
                family.revoked = True
                self.count("revoked_families")

    def revoke_access_tokens(self, only: Iterable[str] | None = None) -> int:
        """Forget all access tokens, or ``only`` those; the API answers 401 to them. Refresh tokens live on."""
        with self.lock:
            gone = list(self._access) if only is None else [t for t in only if t in self._access]
            for value in gone:
                del self._access[value]
                self._ended.append(value)
        return len(gone)
