"""ISO 8601 durations as seconds."""

from __future__ import annotations

import re

_DURATION = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = (31_536_000, 2_592_000, 604_800, 86_400, 3_600, 60, 1)


def duration_seconds(duration: str) -> float:
    """The length of an ISO 8601 ``duration`` in seconds; a year counts 365 days, a month 30.

    For waits and periods only: windows step in calendar units.

    Raises:
        ValueError: it is no ISO 8601 duration.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        msg = f"{duration!r} is no ISO 8601 duration such as PT30S"
        raise ValueError(msg)
    parts = zip(match.groups(), _SECONDS, strict=True)
    return sum(float(number) * unit for number, unit in parts if number)
