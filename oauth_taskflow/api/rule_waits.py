"""The wait that a response rule names: a duration, a header of the response, or a time of day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

import msgspec

from oauth_taskflow.iso8601 import duration_length, duration_seconds
from oauth_taskflow.schema.types import Options, Text, doc

TimeOfDay = Annotated[
    str,
    doc(
        "A time of day with its zone.",
        "00:00Z",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$",
    ),
]
WaitForm = Literal["seconds", "epoch", "epoch_ms", "http_date", "duration"]
# Longer waits are mistakes; the longest quotas are those of a month.
_LONGEST_BELIEVED = 31 * 86400.0
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,9})?")
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII)


class RuleWait(Options, frozen=True, kw_only=True):
    """A wait that the answer or the clock names; it takes precedence over `Retry-After`."""

    header: Annotated[Text | None, doc("Answer header that names the wait.", "X-Reset")] = None
    as_: Annotated[
        WaitForm,
        doc(
            "How: seconds that are left, an instant in seconds or milliseconds since 1970, an HTTP date, or an ISO 8601 duration.",
            "epoch",
        ),
    ] = msgspec.field(default="seconds", name="as")
    until: Annotated[
        TimeOfDay | None,
        doc(
            "Wait for the next such time of day, with its zone; quotas of a day often begin at 00:00Z.",
            "00:00Z",
            "08:00+01:00",
        ),
    ] = None


def find_named_wait(wait: RuleWait, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait from ``now``, the server's clock; None where the header is absent, unreadable or in the past."""
    if wait.until is not None:
        return seconds_until(wait.until, now)
    text = headers.get(wait.header or "", "").strip()
    found = _read(text, wait.as_, now)
    return found if found is not None and 0 < found <= _LONGEST_BELIEVED else None


def seconds_until(time_of_day: str, now: float) -> float:
    """Seconds until the next instant with that time of day, such as ``00:00Z``: more than 0, at most a day."""
    match = _TIME.match(time_of_day)
    assert match is not None, "the schema checks its form"
    hours, minutes, seconds, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    today = datetime.fromtimestamp(now, zone)
    target = today.replace(
        hour=int(hours), minute=int(minutes), second=int(seconds or 0), microsecond=0
    )
    wait = (target - today).total_seconds()
    return wait if wait > 0 else wait + 86400.0


def _read(text: str, form: WaitForm, now: float) -> float | None:
    from oauth_taskflow.http_headers import (  # noqa: PLC0415 - specs need the options of this module alone
        parse_http_date,
    )

    if form == "http_date":
        instant = parse_http_date(text)
        return None if instant is None else instant - now
    if form == "duration":
        return duration_seconds(text) if duration_length(text) else None
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return {"seconds": number, "epoch": number - now, "epoch_ms": number / 1000 - now}[form]
