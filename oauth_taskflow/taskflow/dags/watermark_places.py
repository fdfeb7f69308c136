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
from oauth_taskflow.watermarks.partitions import Scope

_TWO_WAYS = (
    "Set [oauth_taskflow] watermark_store to a database that tasks may open (it holds no secrets), or read by data "
    "interval: remove incremental.by (docs/incremental.md)."
)


def require_shared(url: str, scope: Scope) -> None:
    """Checks that all workers share the database at ``url``.

    Raises:
        WatermarkError: tasks run on machines that do not see it.
    """
    distributed = find_other_machines(url)
    if distributed:
        raise WatermarkError(
            f"A watermark cannot be kept in a SQLite file under {', '.join(distributed)}, because workers on other machines "
            "do not see it: each would read from another one",
            where=f"for {scope}",
            hint="Set [oauth_taskflow] token_store (or watermark_store) to a database that all workers share, as in "
            "postgresql+psycopg://user@host/db, or read by data interval: remove incremental.by.",
        )


def broker_error(scope: Scope) -> WatermarkError:
    """Returns the refusal of broker mode, with both ways out."""
    return WatermarkError(
        "In broker mode tasks do not open the token store, in whose database watermarks are kept",
        where=f"for {scope}",
        hint=_TWO_WAYS,
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
    scope = Scope(spec.source.dag_id, kept[0], spec.source.connection or "")
    url = watermark_store_url()
    try:
        require_shared(url or store_url(), scope)
    except WatermarkError as error:
        return str(error)
    return str(broker_error(scope)) if is_broker_configured() and not url else ""
