"""Times on the wire: lifetimes, expiry instants and the server's clock. No I/O."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from oauth_taskflow.http_headers import parse_http_date

_CENTURY = 100 * 365 * 86400.0
_MILLISECONDS_FROM = 1e11
# A larger number is an instant, not a lifetime: that many seconds are 31 years.
_INSTANTS_FROM = 1e9
# What Python 3.10 does not read: any number of digits behind the point, and offsets without a colon.
_FRACTION = re.compile(r"(?<=\d)\.(\d+)")
_OFFSET = re.compile(r" ?([+-]\d\d)(\d\d)\Z")


def number(value: object) -> float | None:
    """``value`` as a finite number, from a number or its text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def lifetime(value: object) -> float | None:
    """Seconds named by ``expires_in``; None for absent, unreadable, zero and negative ones.

    Zero means "does not expire" at the servers that send it; a lifetime over a century does not count.
    """
    seconds = number(value)
    return seconds if seconds is not None and 0 < seconds < _CENTURY else None


def instant(value: object) -> float | None:
    """Seconds since the epoch from epoch seconds, epoch milliseconds, ISO 8601 text (UTC if unnamed) or an HTTP date."""
    seconds = number(value)
    if seconds is None:
        return (_iso_instant(value) or parse_http_date(value)) if isinstance(value, str) else None
    if seconds > _MILLISECONDS_FROM:
        seconds /= 1000
    return seconds if seconds > 0 else None


def find_end(value: object, *, now: float, skew: float = 0.0) -> float | None:
    """The end that ``value`` names, on our clock: so many seconds after ``now``, or an instant on the server's clock.

    None for everything that names no end ahead. The server's clock is ``skew`` seconds ahead of ours.
    """
    seconds = number(value)
    if seconds is None or seconds >= _INSTANTS_FROM:
        end = instant(value)
        seconds = None if end is None else end - skew - now
    lasting = lifetime(seconds)
    return None if lasting is None else now + lasting


def _iso_instant(text: str) -> float | None:
    text = _OFFSET.sub(r"\1:\2", text.strip().replace("Z", "+00:00"))
    text = _FRACTION.sub(lambda digits: "." + digits[1][:6].ljust(6, "0"), text, count=1)
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def jwt_expiry(access_token: str) -> float | None:
    """The ``exp`` claim when the token is a JWT. Unverified: it only says when to ask for the next one."""
    parts = access_token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return instant(claims.get("exp")) if isinstance(claims, dict) else None


def standard_expiry(
    body: Mapping[str, Any],
    access_token: str,
    *,
    sent_at: float,
    skew: float,
    default: float | None,
) -> float | None:
    """When the token expires, on our clock; None when nothing says so.

    ``sent_at`` plus ``expires_in``, so that a slow answer never makes a token look younger than it is. Absolute
    instants are the server's and are moved by ``skew``. One that has passed already names no usable lifetime.
    """
    found = find_end(body.get("expires_in"), now=sent_at, skew=skew)
    if found is not None:
        return found
    absolute = (body.get("expires_at"), body.get("expires_on"))
    for found in (*map(instant, absolute), jwt_expiry(access_token)):
        if found is not None and lifetime(found - skew - sent_at) is not None:
            return found - skew
    return None if default is None else sent_at + default
