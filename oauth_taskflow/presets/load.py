"""Reads presets: one file at a time, on demand, checked against the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import yaml

from oauth_taskflow.presets.flaws import find_preset_flaw
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.presets.titles import list_files, read_title
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.suggestions import find_closest

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover - PyYAML built without libyaml: same data, only slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same interface
_SHORTEST_PART = 3
_MOST_SUGGESTED = 5
_ALL = "List them with: airflow oauth presets"


class BadPreset(Exception):
    """A folder or file of presets cannot be used; the text says which and why."""


def preset_names(own: Path | None = None) -> tuple[str, ...]:
    """The names of all presets, those in the folder ``own`` included, in alphabetical order; no file is read."""
    return tuple(sorted(_files(own)))


def _files(own: Path | None) -> dict[str, Path]:
    """Returns the file of each preset; a file in ``own`` replaces the package's file of the same name.

    Raises:
        BadPreset: ``own`` is not a folder that all processes would find.
    """
    if own is not None and not (own.is_absolute() and own.is_dir()):
        what = "is not a folder" if own.is_absolute() else "is not an absolute path"
        raise BadPreset(f"[oauth_taskflow] presets_folder {str(own)!r} {what} on this machine")
    return list_files(own) if own else list_files()


def load_preset(name: str, own: Path | None = None) -> Preset:
    """The preset ``name``, looked for in the folder ``own`` first.

    Raises:
        KeyError: no preset has that name.
        BadPreset: its file cannot be read, does not fit the format, or says what can never work.
    """
    path = _files(own)[name]
    try:
        preset = _parse(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadPreset(f"{path}:{line}: {error.problem}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadPreset(f"{path}: {error}") from None
    if path.parent == own and (flaw := find_preset_flaw(preset)) is not None:
        raise BadPreset(f"{path}: {flaw}")
    return preset


@lru_cache(maxsize=8)
def _parse(text: str) -> Preset:
    return read_as(Preset, yaml.load(text, Loader=_Loader))


def suggestion(name: str, own: Path | None = None) -> str:
    """Suggests presets instead of the unknown ``name``: those with the word in name or title, else the nearest."""
    files = _files(own)
    word = re.sub(r"[\W_]+", "-", name.lower()).strip("-")
    found = (
        _with_word(word, files)
        or _with_part(word.replace("-", ""), files)
        or _similar(word, files, cutoff=0.8)
        or _with_word(word.partition("-")[0], files)
        or _similar(word, files)
    )[:_MOST_SUGGESTED]
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else _ALL


def _similar(word: str, files: Mapping[str, Path], *, cutoff: float = 0.6) -> list[str]:
    return list(filter(None, [find_closest(word, files, cutoff=cutoff)]))


def _with_word(word: str, files: Mapping[str, Path]) -> list[str]:
    return [name for name, path in sorted(files.items()) if word in _words(name, path)]


def _with_part(part: str, files: Mapping[str, Path]) -> list[str]:
    """The presets with ``part`` inside their name or title, blanks and punctuation left out."""
    if len(part) < _SHORTEST_PART:
        return []
    texts = (
        (name, "".join(re.findall(r"\w", _search_text(name, path)))) for name, path in files.items()
    )
    return sorted(name for name, text in texts if part in text)


def _words(name: str, path: Path) -> set[str]:
    """The words in name and title of a preset."""
    return set(re.findall(r"\w+", _search_text(name, path)))


def _search_text(name: str, path: Path) -> str:
    """Name and title of a preset, lower case; the title is found in the text, because parsing all files takes a second."""
    return f"{name} {read_title(path)}".lower()
