"""Airflow's configuration → the folder with presets that do not come with this package."""

from __future__ import annotations

from pathlib import Path


def own_presets() -> Path | None:
    """``[oauth_taskflow] presets_folder``, not checked; None if it is not configured."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    configured = (conf.get("oauth_taskflow", "presets_folder", fallback="") or "").strip()
    return Path(configured).expanduser() if configured else None
