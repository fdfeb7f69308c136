"""The kind and provider of a connection for lists, read without checking the connection and without keeping a secret."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from oauth_taskflow.presets.load import BadPreset, load_preset

_BY_PERSON = frozenset({"authorization_code", "device_code", "refresh_token"})
_LONGEST = 100
_HTTP_TYPES = frozenset({"http", "https"})


class ConnectionSummary(Struct, frozen=True, kw_only=True):
    """One connection. ``provider`` is the preset it names, ``title`` that preset's title; both may be empty.

    ``asks_person`` says that its grant begins with a person's consent; ``has_seed`` that the connection itself holds a
    refresh token to begin with; ``is_broken`` that its extra is not a JSON object, or its preset does not exist.
    """

    auth_type: str
    provider: str = ""
    title: str = ""
    grant_type: str = ""
    asks_person: bool = False
    has_seed: bool = False
    is_broken: bool = False


class _PresetSummary(Struct, frozen=True):
    title: str
    auth_type: str
    asks_person: bool


def summarize(
    conn_type: str | None, extra_text: str | None, presets_folder: Path | None = None
) -> ConnectionSummary | None:
    """The summary of a connection with that type and extra; None for a connection that is not one of this package."""
    kind, found = (conn_type or "").lower(), _read_extra(extra_text)
    extra = found or {}
    if kind != "oauth2" and not (kind in _HTTP_TYPES and "auth_type" in extra):
        return None
    provider = _text(extra, "provider").lower()
    preset = _read_preset(provider, presets_folder)
    auth_type = _text(extra, "auth_type") or (preset.auth_type if preset else "oauth2")
    grant_type, has_seed = _text(extra, "grant_type"), bool(extra.get("refresh_token"))
    return ConnectionSummary(
        auth_type=auth_type,
        provider=provider,
        title=preset.title if preset else provider,
        grant_type=grant_type,
        asks_person=_asks_person(auth_type, grant_type, preset, has_seed=has_seed),
        has_seed=has_seed,
        is_broken=found is None or bool(provider and preset is None),
    )


def _asks_person(
    auth_type: str, grant_type: str, preset: _PresetSummary | None, *, has_seed: bool
) -> bool:
    if auth_type != "oauth2":
        return False
    if grant_type:
        return grant_type in _BY_PERSON
    return has_seed or (preset is not None and preset.asks_person)


def _read_extra(text: str | None) -> dict[str, Any] | None:
    """The keys of ``extra``; None for what is not a JSON object."""
    try:
        extra = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return extra if isinstance(extra, dict) else None


def _text(extra: dict[str, Any], name: str) -> str:
    value = extra.get(name)
    return value.strip()[:_LONGEST] if isinstance(value, str) else ""


@lru_cache(maxsize=512)
def _read_preset(name: str, folder: Path | None) -> _PresetSummary | None:
    """A preset's facts, read once in this process."""
    try:
        preset = load_preset(name, folder) if name else None
    except (KeyError, BadPreset):
        return None
    if preset is None:
        return None
    alone = "client_credentials" in preset.grants or "grant_type" in preset.params.token
    by_person = bool({"authorization_code", "refresh_token"} & set(preset.grants))
    return _PresetSummary(preset.title, preset.auth_type, by_person and not alone)
