"""Opens destination paths in Airflow: local ones by pathlib, everything else by ObjectStoragePath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url

_EXTRAS = {"s3": "s3", "s3a": "s3", "abfs": "azure", "abfss": "azure"}
_CHECK_CONNECTION = "Check the Airflow connection of the object store (conn_id of the destination)."


def airflow_home() -> Path:
    """Airflow's home folder, which relative destination paths are relative to."""
    from airflow.configuration import AIRFLOW_HOME  # loads all of Airflow  # noqa: PLC0415

    return Path(AIRFLOW_HOME)


def open_path(path: str, conn_id: str | None = None) -> Any:
    """A ``pathlib.Path`` for a local path (relative ones below ``$AIRFLOW_HOME``), else an ``ObjectStoragePath``.

    ``conn_id`` names the Airflow connection of the object store.

    Raises:
        DestinationError: no installed package knows the URL's scheme, or the connection is missing or wrong.
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
    # Whatever a provider raises for a library or connection that is missing or wrong.
    except Exception as error:
        raise DestinationError(
            f"{scheme}:// paths cannot be opened ({type(error).__name__}: {error})",
            where=f"at {redact_url(path)}",
            hint=_what_to_install(scheme) if _is_missing(error) else _CHECK_CONNECTION,
        ) from error
    return made


def _is_missing(error: Exception) -> bool:
    """Whether a library, or the provider that knows the scheme, is not installed."""
    return isinstance(error, (ImportError, ValueError))


def _what_to_install(scheme: str) -> str:
    extra = _EXTRAS.get(scheme)
    if extra is not None:
        return f"Install it on every worker: pip install 'oauth-taskflow[{extra}]'."
    return (
        "Install the store's Airflow provider with its file system, such as apache-airflow-providers-google for gs://. "
        "Tested are s3:// and abfs:// (docs/destinations.md)."
    )
