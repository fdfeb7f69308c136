"""A JWT that is signed here and is itself the access token: Snowflake's key pairs, App Store Connect, Google's self-signed JWT.

No authorization server is asked (https://google.aip.dev/auth/4111): the API knows the public key.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.oauth.signing import SigningKey
from oauth_taskflow.oauth.token import Token, TokenSource, TokenState
from oauth_taskflow.secret_values import Hidden, NeverPickled, SecretValue

# Seconds by which ``iat`` is pushed back, for servers whose clock is behind.
_PUSHED_BACK = 10


class SelfSignedJwt(SecretValue, frozen=True):
    """A JWT to sign: ``claims`` besides ``iat`` and ``exp``, and ``headers`` besides ``alg`` and ``kid``.

    A claim of None leaves out the one of that name. ``lifetime`` is in seconds, from ``iat`` to ``exp``.
    """

    key: SigningKey
    claims: Hidden[Mapping[str, Any]]
    headers: Hidden[Mapping[str, str]]
    lifetime: float = 600.0

    def sign(self, now: float) -> Token:
        """A fresh token at ``now`` (seconds since the epoch)."""
        issued = int(now) - _PUSHED_BACK
        ends = issued + int(self.lifetime)
        claims = {"iat": issued, "exp": ends, **self.claims}
        given = {name: value for name, value in claims.items() if value is not None}
        return Token(self.key.sign(given, self.headers), obtained_at=now, expires_at=float(ends))


class SelfSignedTokenSource(NeverPickled, TokenSource):
    """Signs a token, remembers it, and signs the next one before it ends. Safe for threads.

    ``leeway`` is how many seconds before the end that is, at most a tenth of the lifetime.
    """

    def __init__(self, jwt: SelfSignedJwt, leeway: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._jwt = jwt
        self._leeway = leeway
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def __repr__(self) -> str:
        return "SelfSignedTokenSource(***)"

    def token(self) -> Token:
        """The token that was signed last while it is fresh, else a new one."""
        token = self._token
        if token is not None and self._is_fresh(token):
            return token
        with self._lock:
            if self._token is None or not self._is_fresh(self._token):
                self._token = self._jwt.sign(self._clock.now())
            return self._token

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``; the same one if it was signed in this second with a deterministic algorithm."""
        with self._lock:
            if self._token is None or self._token.access_token == access_token:
                self._token = self._jwt.sign(self._clock.now())
            return self._token

    def _is_fresh(self, token: Token) -> bool:
        return token.state(self._clock.now(), self._leeway) is TokenState.FRESH
