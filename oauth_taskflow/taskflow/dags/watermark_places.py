"""Where watermarks may be kept in this deployment. Loaded where DAGs are parsed."""

from __future__ import annotations

from oauth_taskflow.errors import WatermarkError
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.taskflow.config import (
    find_other_machines,
    is_broker_configured,
    store_url,
    watermark_store_url,
)
from oauth_taskflow.watermarks.partitions import EndpointId

_WAYS = (
    "Update the API server, set [oauth_taskflow] watermark_store to a database that tasks may open (it holds no secrets), or "
    "read by data interval: remove incremental.by (docs/incremental.md)."
)


def require_shared(url: str, identity: EndpointId) -> None:
    """Checks that all workers share the database at ``url``.

    Raises:
        WatermarkError: tasks run on machines that do not see it.
    """
    distributed = find_other_machines(url)
    if distributed:
        raise WatermarkError(
            f"A watermark cannot be kept in a SQLite file under {', '.join(distributed)}, because workers on other machines "
            "do not see it: each would read from another one",
            where=f"for {identity}",
            hint="Set [oauth_taskflow] token_store (or watermark_store) to a database that all workers share, as in "
            "postgresql+psycopg://user@host/db, or read by data interval: remove incremental.by.",
        )


def broker_error(identity: EndpointId) -> WatermarkError:
    """Returns the refusal for an API server that knows no watermarks, with the ways out."""
    return WatermarkError(
        "In broker mode the API server keeps watermarks, and this one has an earlier release that does not, or no broker",
        where=f"for {identity}",
        hint=_WAYS,
    )


def why_refused(spec: Spec) -> str:
    """Returns why tasks of ``spec`` would refuse to keep watermarks in this deployment; empty where nothing says so.

    For a warning before the first run: a worker may be configured otherwise.
    """
    kept = [
        name
        for name, endpoint in spec.endpoints.items()
        if endpoint.incremental is not None and endpoint.incremental.keeps_watermark
    ]
    if not kept:
        return ""
    identity = EndpointId(spec.source.dag_id, kept[0], spec.source.connection or "")
    url = watermark_store_url()
    if not url and is_broker_configured():
        return ""  # tasks ask the API server
    try:
        require_shared(url or store_url(), identity)
    except WatermarkError as error:
        return str(error)
    return ""
