"""Reads what holds for each API request: the parts that are added to it, and the limits of its response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import field

from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.places import fill_places
from oauth_taskflow.secret_values import Hidden, SecretValue

_KEYS = {"bytes": "max_answer_bytes", "depth": "max_answer_depth", "seconds": "max_answer_seconds"}
_MOST = AnswerLimits(bytes=1 << 34, depth=512, seconds=86400.0)


class AddedParts(SecretValue, frozen=True):
    """Query parameters of every request, and members of every JSON object or form that is sent."""

    params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    body: Hidden[Mapping[str, Any]] = field(default_factory=dict)


def read_additions(parts: ConnectionParts) -> AddedParts:
    """Returns what is added to each request, with its placeholders filled.

    Raises:
        ConnectionConfigError: a placeholder has nothing to fill it, or the token goes into the same parameter.
    """
    values = parts.values
    params = fill_places(parts, "api_params", values.get("api_params", {}))
    body = fill_places(parts, "api_body", values.get("api_body", {}))
    if "" in params or "" in body:
        name = "api_params" if "" in params else "api_body"
        raise parts.error("A name is empty", name, 'Write it as in {"key": "…"}.')
    taken = _name_of_credential(values)
    if taken in params:
        raise parts.error(
            f"api_params has {taken!r}, which carries the credentials already",
            "api_params",
            "Remove it there.",
        )
    return AddedParts(params, body)


def _name_of_credential(values: Mapping[str, Any]) -> str:
    """Returns the query parameter of token or key; empty if these go into a header."""
    if values.get("token_in") == "query":
        return str(values.get("token_param", "access_token"))
    in_query = values.get("api_key_in") == "query"
    return str(values.get("api_key_name", "X-API-Key")) if in_query else ""


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
