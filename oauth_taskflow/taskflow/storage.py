"""Opens destination paths in Airflow: local ones by pathlib, everything else by ObjectStoragePath."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def airflow_home() -> Path:
    """Airflow's home folder, which relative destination paths are relative to."""
    from airflow.configuration import AIRFLOW_HOME  # loads all of Airflow  # noqa: PLC0415

    return Path(AIRFLOW_HOME)


def open_path(path: str, conn_id: str | None = None) -> Any:
    """A ``pathlib.Path`` for a local path (relative ones below ``$AIRFLOW_HOME``), else an ``ObjectStoragePath``.

    ``conn_id`` names the Airflow connection of the object store.
    """
    scheme, separator, rest = path.partition("://")
    if not separator:
        return airflow_home() / Path(path).expanduser()
    if scheme == "file":
        return Path("/" + rest.lstrip("/"))
    from airflow.sdk import ObjectStoragePath  # fsspec, only for remote paths  # noqa: PLC0415

    return ObjectStoragePath(path, conn_id=conn_id)
