"""Opens destination paths in Airflow: local ones by pathlib, everything else by ObjectStoragePath."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from oauth_taskflow.destinations.base import StoreAccess, StoreConnection
from oauth_taskflow.destinations.requirements import STORE_REQUIREMENTS
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.taskflow.processes.executors import find_distributed_executors

_CHECK_CONNECTION = "Check the Airflow connection of the object store (conn_id of the destination)."


def airflow_home() -> Path:
    """Airflow's home folder."""
    from airflow.configuration import AIRFLOW_HOME  # loads all of Airflow  # noqa: PLC0415

    return Path(AIRFLOW_HOME)


def destination_root() -> str:
    """``[oauth_taskflow] destination_root``: what relative destination paths are below; empty for ``$AIRFLOW_HOME``."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - loads configuration

    root: str = conf.get("oauth_taskflow", "destination_root", fallback="") or ""
    return root.strip().rstrip("/")


def own_disk_warning(path: str) -> str | None:
    """Returns a warning about a destination on one machine's disk while tasks run on several; None for other destinations.

    Folders below ``destination_root`` count as shared: the deployment chose them.
    """
    if _is_remote(path):
        return None
    place, root = _absolute(path), destination_root()
    if _is_remote(place) or (root and f"{place}/".startswith(f"{root}/")):
        return None
    distributed = find_distributed_executors()
    if not distributed:
        return None
    return (
        f"Output goes to {place}, a folder of the machine that a task runs on, and {', '.join(distributed)} may run each "
        "task on another one: endpoints with for_each would not find their parents' records, and a re-run would leave the "
        "old files where they are. Let path be an object store, or set [oauth_taskflow] destination_root to one, or to a "
        "folder that all workers share (docs/destinations.md)."
    )


def _is_remote(path: str) -> bool:
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme != "file"


def _absolute(path: str) -> str:
    if "://" in path or path.startswith(("/", "~")):
        return path
    root = destination_root()
    return f"{root}/{path}" if root else str(airflow_home() / path)


def open_path(path: str, conn_id: str | None = None) -> Any:
    """Opens a local path as ``pathlib.Path``, others as ``ObjectStoragePath``; relative ones are below ``destination_root``.

    ``conn_id`` names the Airflow connection of the object store.

    Raises:
        DestinationError: no installed package knows the URL's scheme, or the connection is missing or wrong.
    """
    path = _absolute(path)
    scheme, separator, rest = path.partition("://")
    if not separator:
        return Path(path).expanduser()
    if scheme == "file":
        return Path("/" + rest.lstrip("/"))
    from airflow.sdk import ObjectStoragePath  # fsspec, only for remote paths  # noqa: PLC0415

    try:
        made = ObjectStoragePath(path, conn_id=conn_id)
        _ = made.fs  # found on first use otherwise, in the middle of the work
    # Providers raise exceptions of many kinds for a library or connection that is missing or wrong.
    except Exception as error:
        raise DestinationError(
            f"{scheme}:// paths cannot be opened ({type(error).__name__}: {error})",
            where=f"at {redact_url(path)}",
            hint=_what_to_install(scheme) if _is_missing(error) else _CHECK_CONNECTION,
        ) from error
    return made


def store_access() -> StoreAccess:
    """Returns the ways to paths and connections of this deployment."""
    return StoreAccess(open_path, _find_connection)


def _find_connection(conn_id: str) -> StoreConnection:
    # Loads what reads connections, which parsing a DAG does not need.
    from oauth_taskflow.taskflow.connection_lookup import find_connection  # noqa: PLC0415

    return cast("StoreConnection", find_connection(conn_id))


def _is_missing(error: Exception) -> bool:
    """Returns whether a library, or the provider that knows the scheme, is missing."""
    return isinstance(error, (ImportError, ValueError))


def _what_to_install(scheme: str) -> str:
    known = STORE_REQUIREMENTS.get(scheme)
    if known is not None:
        return f"Install it on every worker: pip install 'oauth-taskflow[{known.extra}]'."
    return (
        "Install the store's Airflow provider with its file system, such as apache-airflow-providers-google for gs://. "
        "Tested are s3:// and abfs:// (docs/destinations.md)."
    )
