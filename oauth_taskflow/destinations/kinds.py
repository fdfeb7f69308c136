"""The kinds of destination by name."""

from __future__ import annotations

from typing import Any, get_args

from oauth_taskflow import destinations
from oauth_taskflow.destinations.base import DestinationKind


def all_kinds() -> list[type[Any]]:
    """Returns the options class of every kind."""
    return list(get_args(destinations.AnyDestination)) or [destinations.AnyDestination]


def find_kind(name: str) -> type[DestinationKind]:
    """Returns the options class with the tag ``name``.

    Raises:
        KeyError: the kind is unknown.
    """
    kinds: dict[str, type[DestinationKind]] = {
        str(kind.__struct_config__.tag): kind for kind in all_kinds()
    }
    return kinds[name]
