"""The links of a pull task in Airflow's UI: to its output, and after a token failure to the page that connects again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.taskflow.notices.reconnect_link import FoundLink, ReconnectLink
from oauth_taskflow.taskflow.page.places import INSTANCE_TAB, base_path

_LONGEST = 2048
_S3 = ("s3://", "s3a://")


class OutputLink(FoundLink):
    """Leads to the manifest in its store's console, or to the tab with the figures of the run."""

    @property
    def name(self) -> str:
        """The text of the button."""
        return "Output"

    @property
    def xcom_key(self) -> str:
        """The key under which Airflow keeps the address."""
        return "oauth_taskflow_output"


LINKS: tuple[BaseOperatorLink, ...] = (OutputLink(), ReconnectLink())


def find_output(summary: Mapping[str, Any], ti: Any) -> dict[str, str]:
    """Returns the link of a task that wrote its output, by name.

    Object stores of Amazon and Google have a console at a known address; anything else is shown in the tab.
    """
    manifest, conn_id = str(summary.get("manifest") or ""), summary.get("conn_id")
    console = None
    if summary.get("destination", DEFAULT_KIND) == DEFAULT_KIND:
        console = _find_console(manifest, conn_id)
    return {"Output": console or tab_url(ti)}


def tab_url(ti: Any) -> str:
    """Returns the path of the tab of a task instance in Airflow's UI."""
    parts = ("dags", ti.dag_id, "runs", ti.run_id, "tasks", ti.task_id)
    mapped = f"/mapped/{ti.map_index}" if ti.map_index >= 0 else ""
    path = "/".join(quote(part, safe="") for part in parts)
    return f"{base_path()}/{path}{mapped}/plugin/{INSTANCE_TAB}"


def _find_console(manifest: str, conn_id: str | None) -> str | None:
    """Returns the address of an object in its provider's console; None where the store is not the provider's own."""
    scheme, _, rest = manifest.partition("://")
    bucket, _, key = rest.partition("/")
    place = quote(key, safe="/")
    url = None
    if manifest.startswith(_S3) and not _has_other_endpoint(manifest, conn_id):
        url = f"https://s3.console.aws.amazon.com/s3/object/{quote(bucket)}?prefix={place}"
    elif scheme == "gs" and not os.environ.get("STORAGE_EMULATOR_HOST"):
        url = f"https://console.cloud.google.com/storage/browser/_details/{quote(bucket)}/{place}"
    return url if url is None or len(url) <= _LONGEST else None


def _has_other_endpoint(manifest: str, conn_id: str | None) -> bool:
    """Whether the file system that wrote ``manifest`` speaks to a server of another provider, such as MinIO."""
    from oauth_taskflow.taskflow.dags.storage import open_path  # noqa: PLC0415 - run time only

    try:
        system = open_path(manifest, conn_id).fs
        options: Mapping[str, Any] = getattr(system, "client_kwargs", None) or {}
        return bool(options.get("endpoint_url") or getattr(system, "endpoint_url", None))
    except Exception:  # noqa: BLE001 - a link is not worth a failed task
        return True
