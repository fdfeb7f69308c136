"""Reads what an API says about its own limits: how much is left, and when it is reset."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from oauth_taskflow.http_headers import parse_http_date, server_now
from oauth_taskflow.iso8601 import parse_instant

# Longer waits are mistakes; the longest quotas are those of a month.
_LONGEST_BELIEVED = 31 * 86400.0
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,9})?")
_EPOCH, _EPOCH_MS, _EPOCH_END = 1e9, 1e12, 1e14
_IETF_LEFT = re.compile(r"(?:^|[;,\s])(?:r|remaining)\s*=\s*(\d+)")
_IETF_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*(\d+)")
_COMMON = (
    ("X-RateLimit-Remaining", "X-RateLimit-Reset"),
    ("RateLimit-Remaining", "RateLimit-Reset"),
    ("X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
)


class LimitHeaders(Struct, frozen=True):
    """The names of the headers that say how much is left and when it is reset; empty names mean the usual ones."""

    remaining: str = ""
    reset: str = ""


def find_wait(headers: Mapping[str, str], names: LimitHeaders, now: float) -> float | None:
    """Seconds until a limit that is used up is reset; None unless the headers say that nothing is left, and until when.

    ``now`` is this machine's clock. Without names, the usual ones and the IETF's ``RateLimit`` are read
    (draft-ietf-httpapi-ratelimit-headers). Values that make no sense are ignored: no wait is better than a false one.
    """
    if names.remaining:
        return _read_pair(headers, names.remaining, names.reset, now)
    waits = [_read_pair(headers, left, names.reset or reset, now) for left, reset in _COMMON]
    known = [wait for wait in [*waits, *_read_ietf(headers)] if wait is not None]
    return max(known, default=None)


def _read_pair(headers: Mapping[str, str], remaining: str, reset: str, now: float) -> float | None:
    left = headers.get(remaining, "").strip()
    if not _NUMBER.fullmatch(left) or float(left) > 0:
        return None
    return read_reset(headers.get(reset, ""), server_now(headers, now))


def _read_ietf(headers: Mapping[str, str]) -> list[float | None]:
    """The wait of each policy in ``RateLimit`` of which nothing is left."""
    found: list[float | None] = []
    value = headers.get("RateLimit", "")
    # Former drafts separate the parameters of the only policy by commas.
    for policy in value.split(",") if ";" in value else [value] if value else []:
        left, reset = _IETF_LEFT.search(policy), _IETF_RESET.search(policy)
        if left and reset and not left[1].strip("0"):  # int() refuses thousands of digits
            found.append(_believe(float(reset[1])))
    return found


def read_reset(text: str, now: float) -> float | None:
    """Seconds until the instant in ``text``: seconds left, seconds or milliseconds since 1970, ISO 8601 or an HTTP date.

    The forms cannot be confused, because no wait of more than a month is believed.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _EPOCH_MS:
            return _believe(number / 1000 - now) if number < _EPOCH_END else None
        return _believe(number - now if number >= _EPOCH else number)
    moment = parse_instant(text)
    instant = parse_http_date(text) if moment is None else moment.timestamp()
    return None if instant is None else _believe(instant - now)


def _believe(wait: float) -> float | None:
    return wait if 0 < wait <= _LONGEST_BELIEVED else None
