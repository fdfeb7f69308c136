"""The places, such as ``{tenant}``, that presets have in their texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.presets.fill import FILLED
from oauth_taskflow.presets.model import Preset

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# The places of a revocation, which its request fills.
_FILLED_LATER = frozenset({"token", "kind", "client_secret", "proof"})


def find_places(value: Any) -> set[str]:
    """The names of all places in ``value``, a text or a collection of texts."""
    if isinstance(value, str):
        return set(_PLACE.findall(value))
    if not isinstance(value, Mapping | list | tuple):
        return set()
    items = value.values() if isinstance(value, Mapping) else value
    return {name for item in items for name in find_places(item)}


def places_of(preset: Preset) -> set[str]:
    """The names of all places that ``fill`` fills."""
    return (
        find_places([msgspec.to_builtins(getattr(preset, name)) for name in FILLED]) - _FILLED_LATER
    )
