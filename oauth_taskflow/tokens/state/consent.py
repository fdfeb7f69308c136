"""How long a person's consent lasts, by the server's answers and the provider's preset. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.oauth.endpoint import expiry
from oauth_taskflow.oauth.endpoint.response_fields import find_value
from oauth_taskflow.oauth.token import Token

# Seconds before the end from which people are warned.
WARNING_TIME = 7 * 86400.0
# Seconds before the end, at most half of the way there, at which an unused refresh token is used.
_IN_GOOD_TIME = 14 * 86400.0
# Where servers name the refresh token's lifetime unasked; 0 means that they name none (Keycloak).
_USUAL_PATHS = (
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
)
# Lifetimes that count down are whole seconds and travel for a while.
_SAME_END = 60.0


class RefreshLifetimes(Struct, frozen=True, kw_only=True):
    """The known lifetimes of a provider's refresh tokens, in seconds.

    A refresh token dies when it is unused for ``idle``, and every one dies ``absolute`` after the consent. ``path`` is
    the JMESPath of the lifetime, or of the instant, in token responses; without it the usual names are tried.
    """

    idle: float | None = None
    absolute: float | None = None
    path: str = ""


UNKNOWN = RefreshLifetimes()


class Consent(Struct, frozen=True):
    """One person's consent; instants are seconds on the store's clock.

    ``since`` is the login, or the first refresh with the connection's refresh token. ``stated`` is the end that the
    server named for the refresh token, and ``ends_at`` the earliest known end (None: unknown). ``slides`` says that the
    next refresh moves it.
    """

    since: float
    stated: float | None = None
    ends_at: float | None = None
    slides: bool = False


def renew_consent(
    before: Consent | None, token: Token, known: RefreshLifetimes, *, rotated: bool
) -> Consent:
    """The consent of ``before`` (None: a new one) after a response that brought ``token``.

    ``rotated``: the response also brought another refresh token. Without one, an end named earlier stays true.
    """
    now = token.obtained_at
    since = before.since if before is not None else now
    earlier = before.stated if before is not None else None
    stated = _find_stated_end(token.extras, known.path, now)
    if stated is None and not rotated:
        stated = earlier
    ends: list[tuple[float, bool]] = []
    if stated is not None:
        ends.append((stated, _is_sliding(stated, earlier, known)))
    elif known.idle is not None:
        ends.append((now + known.idle, True))
    if known.absolute is not None:
        ends.append((since + known.absolute, False))
    ends_at, slides = min(ends, default=(None, False))
    return Consent(since, stated, ends_at, slides)


def _find_stated_end(extras: Mapping[str, Any], path: str, now: float) -> float | None:
    """The refresh token's end in a token response; None when it does not name one."""
    for name in (path,) if path else _USUAL_PATHS:
        end = expiry.find_end(find_value(name, extras), now=now)
        if end is not None:
            return end
    return None


def _is_sliding(stated: float, earlier: float | None, known: RefreshLifetimes) -> bool:
    """Whether refreshes move the end, judged by the end before, else by the provider's known lifetimes."""
    if earlier is not None:
        return stated > earlier + _SAME_END
    return known.absolute is None or known.idle is not None


def last_use(consent: Consent | None, token: Token) -> float:
    """When the refresh token behind ``token`` must be used, so that it does not die unused; mostly infinite."""
    if consent is None or consent.ends_at is None or not consent.slides:
        return math.inf
    return consent.ends_at - min(_IN_GOOD_TIME, (consent.ends_at - token.obtained_at) / 2)


def refresh_deadline(consent: Consent | None, token: Token) -> float:
    """When ``token`` must be replaced so that its refresh token does not die unused; mostly infinite.

    Shorter access tokens cause refreshes in time. Others would be refreshed in their last minute, when the refresh token
    is dead too, or nearly (Meta, Instagram).
    """
    by, ends = last_use(consent, token), token.expires_at
    return by if ends is None or ends > by else math.inf


def is_due_soon(consent: Consent | None, token: Token | None, now: float) -> bool:
    """Whether a person must agree again soon, as far as that is known at ``now``.

    An end that refreshes move deserves a warning only if the refresh that was due in good time did not succeed.
    """
    if consent is None or consent.ends_at is None or consent.ends_at - now > WARNING_TIME:
        return False
    return not consent.slides or token is None or refresh_deadline(consent, token) <= now
