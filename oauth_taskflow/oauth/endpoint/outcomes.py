"""How one exchange with the token endpoint can end; what may be done next follows from the class."""

from __future__ import annotations

from msgspec import Struct

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue


class Granted(SecretValue, frozen=True):
    """A token. ``refresh_token`` None: the one that was sent stays valid (RFC 6749 §6).

    ``skew`` is the server's clock minus ours in seconds, None when its answer carried no date; ``missing_scope``
    names requested scopes that the server left out, ``extra_scope`` those it gave unasked. ``found_at`` is where the
    refresh token was found by its name, when it is not where the connection looks for it; ``unread`` is the kind of a
    value there that is not text, such as "an object". ``others`` may be the right refresh token in its place.
    """

    token: Token
    refresh_token: Hidden[str | None] = None
    skew: float | None = None
    missing_scope: tuple[str, ...] = ()
    extra_scope: tuple[str, ...] = ()
    found_at: str = ""
    unread: str = ""
    others: Hidden[tuple[str, ...]] = ()


class Rejected(Struct, frozen=True):
    """The server decided against it, or the set-up is wrong: the same request will fail again."""

    error: OAuthTaskflowError


class NotProcessed(Struct, frozen=True):
    """Nothing was sent, or the server certainly did nothing: a single-use grant may be sent again."""

    error: OAuthTaskflowError


class OutcomeUnknown(SecretValue, frozen=True):
    """The request went out and no usable answer came: a single-use grant may have been spent.

    ``again`` says how often an idempotent request is worth repeating.
    """

    error: OAuthTaskflowError
    again: int = 2


class Unusable(OutcomeUnknown, frozen=True):
    """An answer with status 2xx arrived without a usable access token.

    ``refresh_token`` is the one in it, which replaces the one that was sent; ``found_at`` and ``others`` as in ``Granted``.
    ``opaque`` says that none was found, and that the answer holds what may be one: another request would spend more than it brings.
    ``broken`` says that no setting of a connection reads such an answer, and ``cut`` that it broke off behind the refresh
    token: the same request with that one may succeed at once.
    """

    refresh_token: Hidden[str | None] = None
    found_at: str = ""
    opaque: bool = False
    broken: bool = False
    cut: bool = False
    others: Hidden[tuple[str, ...]] = ()


Failure = Rejected | NotProcessed | OutcomeUnknown
Outcome = Granted | Failure
