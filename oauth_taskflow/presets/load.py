"""Reading presets: one file when it is asked for, checked against the model."""

from __future__ import annotations

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
