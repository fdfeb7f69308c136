"""Opens destination paths in Airflow: local ones by pathlib, everything else by ObjectStoragePath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url


def airflow_home() -> Path:
    """Airflow's home folder, which relative destination paths are relative to."""
    from airflow.configuration import AIRFLOW_HOME  # loads all of Airflow  # noqa: PLC0415

    return Path(AIRFLOW_HOME)


def open_path(path: str, conn_id: str | None = None) -> Any:
    """A ``pathlib.Path`` for a local path (relative ones below ``$AIRFLOW_HOME``), else an ``ObjectStoragePath``.

    ``conn_id`` names the Airflow connection of the object store.

    Raises:
        DestinationError: no installed package knows the URL's scheme.
    """
    scheme, separator, rest = path.partition("://")
    if not separator:
        return airflow_home() / Path(path).expanduser()
    if scheme == "file":
        return Path("/" + rest.lstrip("/"))
    from airflow.sdk import ObjectStoragePath  # fsspec, only for remote paths  # noqa: PLC0415

    try:
        made = ObjectStoragePath(path, conn_id=conn_id)
        _ = made.fs  # found on first use otherwise, in the middle of the work
    # Unknown to fsspec, unknown to Airflow, or its library is not installed.
    except (ValueError, ImportError) as error:
        raise DestinationError(
            f"{scheme}:// paths cannot be opened ({error})",
            where=f"at {redact_url(path)}",
            hint="Install the store's Airflow provider with its file system, such as "
            "apache-airflow-providers-amazon[s3fs] for s3:// or apache-airflow-providers-google for gs://.",
        ) from error
    return made
