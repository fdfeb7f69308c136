"""Until when a person's consent serves: what the server says of its refresh tokens, and what its preset knows. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.oauth.endpoint import expiry
from oauth_taskflow.oauth.endpoint.response_fields import at
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
    """What is known of a provider's refresh tokens, in seconds.

    One that is unused for ``idle`` is dead; ``absolute`` after the consent all are. ``path`` is the JMESPath of the
    lifetime, or of the instant, that token responses name; without it the usual names are looked for.
    """

    idle: float | None = None
    absolute: float | None = None
    path: str = ""


UNKNOWN = RefreshLifetimes()


class Consent(Struct, frozen=True):
    """One person's consent; instants are seconds on the store's clock.

    ``since`` is the login, or the first refresh with the connection's refresh token. ``stated`` is the end that the
    server named for the refresh token, ``ends_at`` the earliest end known (None: no end is known), and ``slides`` says
    that the next refresh moves it.
    """

    since: float
    stated: float | None = None
    ends_at: float | None = None
    slides: bool = False


def renewed(
    before: Consent | None, token: Token, known: RefreshLifetimes, *, rotated: bool
) -> Consent:
    """The consent of ``before`` (None: a new one) after a response that brought ``token``.

    ``rotated``: it brought another refresh token too. Without one, an end named earlier goes on being true.
    """
    now = token.obtained_at
    since = before.since if before is not None else now
    earlier = before.stated if before is not None else None
    stated = _stated(token.extras, known.path, now)
    if stated is None and not rotated:
        stated = earlier
    ends: list[tuple[float, bool]] = []
    if stated is not None:
        ends.append((stated, _slides(stated, earlier, known)))
    elif known.idle is not None:
        ends.append((now + known.idle, True))
    if known.absolute is not None:
        ends.append((since + known.absolute, False))
    ends_at, slides = min(ends, default=(None, False))
    return Consent(since, stated, ends_at, slides)


def _stated(extras: Mapping[str, Any], path: str, now: float) -> float | None:
    """The refresh token's end in a token response; None when it names none."""
    for name in (path,) if path else _USUAL_PATHS:
        end = expiry.named_end(at(name, extras), now=now)
        if end is not None:
            return end
    return None


def _slides(stated: float, earlier: float | None, known: RefreshLifetimes) -> bool:
    """Whether refreshes move the end: seen from the one before, else by what is known of the provider."""
    if earlier is not None:
        return stated > earlier + _SAME_END
    return known.absolute is None or known.idle is not None


def refresh_by(consent: Consent | None, token: Token) -> float:
    """When ``token`` is to be replaced so that its refresh token does not lie unused until it dies; mostly infinite.

    Access tokens that live shorter see to that by themselves. Others would be refreshed in their last minute, when the
    refresh token is dead too, or nearly (Meta, Instagram).
    """
    if consent is None or consent.ends_at is None or not consent.slides:
        return math.inf
    by = consent.ends_at - min(_IN_GOOD_TIME, (consent.ends_at - token.obtained_at) / 2)
    ends = token.expires_at
    return by if ends is None or ends > by else math.inf


def is_due_soon(consent: Consent | None, token: Token | None, now: float) -> bool:
    """Whether a person must agree again before long, as far as that is known at ``now``.

    An end that refreshes move is none to warn of, unless the one that was due in good time did not succeed.
    """
    if consent is None or consent.ends_at is None or consent.ends_at - now > WARNING_TIME:
        return False
    return not consent.slides or token is None or refresh_by(consent, token) <= now
