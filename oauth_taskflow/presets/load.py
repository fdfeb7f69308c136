"""Reading presets: one file when it is asked for, checked against the model."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import msgspec
import yaml

from oauth_taskflow.presets.model import Preset

FOLDER = Path(__file__).with_name("providers")
try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover - PyYAML built without libyaml: same data, only slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same interface
_ALL = "List them with: airflow oauth presets"


@lru_cache(maxsize=1)
def preset_names() -> tuple[str, ...]:
    """The names of all presets, in alphabetical order; no file is read."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@lru_cache(maxsize=8)
def load_preset(name: str) -> Preset:
    """The preset ``name``.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in preset_names():  # also keeps ../ out
        raise KeyError(name)
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.load(text, Loader=_Loader), Preset)


def suggestion(name: str) -> str:
    """What to write instead of ``name``, which is no preset: those with the word in name or title, else the nearest."""
    word = re.sub(r"[\W_]+", "-", name.lower()).strip("-")
    found = _with_word(word) or get_close_matches(word, preset_names(), n=1, cutoff=0.8)
    found = (
        found or _with_word(word.partition("-")[0]) or get_close_matches(word, preset_names(), n=1)
    )
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else _ALL


def _with_word(word: str) -> list[str]:
    return [name for name, words in _words(preset_names()).items() if word in words]


@lru_cache(maxsize=1)
def _words(names: tuple[str, ...]) -> dict[str, set[str]]:
    """The words in name and title of each preset; the title is searched for in the text, as parsing all takes a second."""
    texts = {name: (FOLDER / f"{name}.yaml").read_text(encoding="utf-8") for name in names}
    titles = {name: re.search(r"(?m)^title: (.*)$", text) for name, text in texts.items()}
    return {
        name: set(re.findall(r"\w+", f"{name} {title[1] if title else ''}".lower()))
        for name, title in titles.items()
    }
