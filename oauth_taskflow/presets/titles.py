"""The names and titles of presets, found without parsing their files: every ``airflow`` command imports this module."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("providers")
_TITLE = re.compile(rb"(?m)^title:[ \t]*(.*)$")


def list_files(*more: Path) -> dict[str, Path]:
    """Returns the file of each preset by name; a file in one of the folders ``more`` replaces the package's file of that name."""
    files = dict(_packaged_files())
    for folder in more:
        files |= _find_files(folder)
    return files


@cache  # they stay as they were installed, and each connection with a provider looks for one
def _packaged_files() -> dict[str, Path]:
    return _find_files(FOLDER)


def _find_files(folder: Path) -> dict[str, Path]:
    return {path.stem.lower(): path for path in folder.glob("*.yaml")}


def read_title(path: Path) -> str:
    """Returns the title in a preset's file; empty if it has none on its own line.

    Raises:
        OSError: the file cannot be read.
    """
    found = _TITLE.search(path.read_bytes())
    return found[1].decode(errors="replace").strip().strip("\"'") if found else ""


def read_titles(*more: Path) -> dict[str, str]:
    """Returns the title of each preset by name, sorted by title; a file that cannot be read has its name as title."""
    titles = {name: _try_title(path) or name for name, path in list_files(*more).items()}
    return dict(sorted(titles.items(), key=lambda item: (item[1].casefold(), item[0])))


def _try_title(path: Path) -> str:
    try:
        return read_title(path)
    except OSError:
        return ""
