"""The placeholders ``{login}`` and ``{password}`` in the values of a connection, which its two fields of that name fill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oauth_taskflow.connections.parts import ConnectionParts

_OF_LOGIN = frozenset({"login_fields", "login_params", "token_headers"})
_PLACE = re.compile(r"\{(login|password)\}")


def fill_places(parts: ConnectionParts, name: str, value: Any) -> Any:
    """Returns ``value`` of the field ``name`` with its placeholders filled, at any depth; names of members stay.

    Raises:
        ConnectionConfigError: the login or password that a placeholder needs is missing.
    """
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _part(parts, name, place[1]), value)
    if isinstance(value, Mapping):
        return {key: fill_places(parts, name, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_places(parts, name, item) for item in value]
    return value


def names_place(value: Any, place: str) -> bool:
    """Whether a text in ``value`` has the placeholder ``place``."""
    if isinstance(value, str):
        return f"{{{place}}}" in value
    items = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, Mapping | list | tuple) and any(
        names_place(item, place) for item in items
    )


def _part(parts: ConnectionParts, name: str, place: str) -> str:
    text = parts.login if place == "login" else parts.password
    if not text:
        raise parts.error(
            f"{'The login request' if name in _OF_LOGIN else name} needs the {place}",
            place,
            f"Fill it, or leave {{{place}}} out of {name}.",
        )
    return text
