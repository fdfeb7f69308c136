"""Airflow's configuration → the folder with presets that do not come with this package."""

from __future__ import annotations

from pathlib import Path

from oauth_taskflow.presets.load import BadPreset


def own_presets() -> Path | None:
    """``[oauth_taskflow] presets_folder``; None where none is configured.

    Raises:
        BadPreset: it is no folder that all processes would find.
    """
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    configured = (conf.get("oauth_taskflow", "presets_folder", fallback="") or "").strip()
    if not configured:
        return None
    folder = Path(configured).expanduser()
    if not folder.is_absolute() or not folder.is_dir():
        what = "is no folder" if folder.is_absolute() else "is no absolute path"
        raise BadPreset(f"[oauth_taskflow] presets_folder {configured!r} {what} on this machine")
    return folder
