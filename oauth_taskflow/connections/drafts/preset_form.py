"""The content of the form of a new connection: the providers to choose from, and everything about the chosen one."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from oauth_taskflow.connections.drafts.ways import OTHER, Way, list_ways
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.load import BadPreset, load_preset, suggestion
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.presets.page import facts
from oauth_taskflow.presets.titles import read_titles


class PresetChoice(Struct, frozen=True):
    """A provider to choose. The empty name stands for a provider without a preset."""

    name: str
    title: str


class PresetForm(Struct, frozen=True, kw_only=True):
    """The chosen provider. ``verified`` is a month, empty for a preset that was never tried; ``facts`` are lines by subject.

    ``scopes`` are those of a connection that names none; ``added_scopes`` are added when a person consents.
    """

    name: str
    title: str
    verified: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    facts: dict[str, str]
    scopes: tuple[str, ...]
    added_scopes: tuple[str, ...]
    ways: tuple[Way, ...]


def list_choices(own: Path | None = None) -> list[PresetChoice]:
    """Returns all providers by title, those in the folder ``own`` included, and last the choice without a preset."""
    folders = (own,) if own is not None and own.is_dir() else ()
    known = [PresetChoice(name, title) for name, title in read_titles(*folders).items()]
    return [*known, PresetChoice("", OTHER.title)]


def find_preset(name: str, own: Path | None = None, *, conn_id: str = "") -> Preset:
    """Returns the preset ``name``; ``OTHER`` for the empty name.

    Raises:
        ConnectionConfigError: it does not exist, or its file is wrong.
    """
    if not name:
        return OTHER
    try:
        preset = load_preset(name.strip().lower(), own)
    except KeyError:
        what, hint = "There is no preset of that name", suggestion(name, own)
    except BadPreset as bad:
        what, hint = f"The preset cannot be used: {bad}", "Mend its file."
    else:
        if taken := preset.variables.keys() & BY_NAME.keys():
            what = (
                f"The preset has its own version of a key that every connection has: {min(taken)}"
            )
            hint = "Give the preset's key another name."
        else:
            return preset
    raise ConnectionConfigError(what, conn_id=conn_id, field="provider", hint=hint)


def describe_preset(name: str, own: Path | None = None) -> PresetForm:
    """Returns what the form shows for the provider ``name``.

    Raises:
        ConnectionConfigError: it does not exist, or its file is wrong.
    """
    preset = find_preset(name, own)
    return PresetForm(
        name=name.strip().lower(),
        title=preset.title,
        verified=preset.verified or "",
        sources=preset.sources,
        notes=preset.notes,
        facts={} if preset is OTHER else facts(preset),
        scopes=preset.default_scopes,
        added_scopes=preset.offline_scopes,
        ways=list_ways(preset),
    )
