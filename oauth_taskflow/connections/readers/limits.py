"""Reads the limits on size, depth and duration of one API response."""

from __future__ import annotations

from typing import Any

from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.connections.parts import ConnectionParts

_KEYS = {"bytes": "max_answer_bytes", "depth": "max_answer_depth", "seconds": "max_answer_seconds"}
_MOST = AnswerLimits(bytes=1 << 34, depth=512, seconds=86400.0)


def answer_limits(parts: ConnectionParts) -> AnswerLimits:
    """Returns the limits that ``parts`` name, else the defaults.

    Raises:
        ConnectionConfigError: a limit is below 1 or too high.
    """
    found: dict[str, float] = {}
    for name, key in _KEYS.items():
        value = parts.values.get(key)
        if value is None:
            continue
        most = getattr(_MOST, name)
        if not 1 <= value <= most:
            raise parts.error(
                "The limit is out of range", key, f"Write a number from 1 to {most:.0f}."
            )
        found[name] = value if name == "seconds" else int(value)
    return AnswerLimits(**found)  # type: ignore[arg-type]  # whole numbers where they must be


def as_keys(limits: AnswerLimits) -> dict[str, Any]:
    """Returns the keys for a connection with ``limits``, without the defaults."""
    return {
        key: getattr(limits, name)
        for name, key in _KEYS.items()
        if getattr(limits, name) != getattr(DEFAULT_LIMITS, name)
    }
