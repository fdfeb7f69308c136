"""``airflow oauth presets``: lists the providers that connections can name, or shows the facts about one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import msgspec

from oauth_taskflow.presets.load import BadPreset, load_preset, preset_names, suggestion
from oauth_taskflow.presets.page import certainty, facts, variable_text
from oauth_taskflow.taskflow.cli.output import WRONG_ARGUMENTS, exit_with, print_records
from oauth_taskflow.taskflow.config import presets_folder


def presets(args: Namespace) -> None:
    """Run the command. Airflow's CLI calls it with the parsed arguments.

    Raises:
        SystemExit: with 2 when the preset is unknown, or a file of a preset is wrong.
    """
    try:
        rows = _build_rows(args.name, args.output)
    except BadPreset as bad:
        exit_with(bad, WRONG_ARGUMENTS)
    print_records(rows, args.output)


def _build_rows(name: str | None, output: str) -> list[dict[str, object]]:
    own = presets_folder()
    return _describe_preset(name, own, output) if name else _list_presets(own, output)


def _list_presets(own: Path | None, output: str) -> list[dict[str, object]]:
    loaded = {name: load_preset(name, own) for name in preset_names(own)}
    return [
        {
            "preset": name,
            "provider": preset.title,
            "verified": preset.verified or "no",
            "own_keys": list(preset.variables)
            if output in {"json", "yaml"}
            else " ".join(preset.variables),
        }
        for name, preset in loaded.items()
    ]


def _describe_preset(name: str, own: Path | None, output: str) -> list[dict[str, object]]:
    try:
        preset = load_preset(name.lower(), own)
    except KeyError:
        exit_with(f"There is no preset {name!r}. {suggestion(name, own)}", WRONG_ARGUMENTS)
    if output in {"json", "yaml"}:
        return [{"preset": name.lower(), **msgspec.to_builtins(preset)}]
    shown = {
        "Provider": f"{preset.title} ({certainty(preset)})",
        **({"Sources": " ".join(preset.sources)} if preset.sources else {}),
        **{f"key {key}": variable_text(one) for key, one in preset.variables.items()},
        **facts(preset),
    }
    notes = [("Note", note) for note in preset.notes]
    return [{"subject": subject, "fact": fact} for subject, fact in (*shown.items(), *notes)]
