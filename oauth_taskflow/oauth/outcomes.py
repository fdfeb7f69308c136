"""How one exchange with the token endpoint can end; what may be done next follows from the class."""

from __future__ import annotations

from dataclasses import dataclass, field

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import KeptInProcess


@dataclass(frozen=True, slots=True)
class Granted(KeptInProcess):
    """A token. ``refresh_token`` None: the one that was sent stays valid (RFC 6749 §6).

    ``skew`` is the server's clock minus ours in seconds, None when its answer carried no date; ``missing_scope``
    names requested scopes that the server left out, ``extra_scope`` those it gave unasked.
    """

    token: Token
    refresh_token: str | None = field(default=None, repr=False)
    skew: float | None = None
    missing_scope: tuple[str, ...] = ()
    extra_scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """The server decided against it, or the set-up is wrong: the same request will fail again."""

    error: OAuthTaskflowError


@dataclass(frozen=True)
class NotProcessed:
    """Nothing was sent, or the server certainly did nothing: a single-use grant may be sent again."""

    error: OAuthTaskflowError


@dataclass(frozen=True)
class OutcomeUnknown:
    """The request went out and no usable answer came: a single-use grant may have been spent.

    ``again`` says how often an idempotent request is worth repeating.
    """

    error: OAuthTaskflowError
    again: int = 2


Failure = Rejected | NotProcessed | OutcomeUnknown
Outcome = Granted | Failure
