"""Joins stored watermarks to tasks: which runs use them, in which database, and their mirror in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oauth_taskflow.connections.settings import BrokeredSettings
from oauth_taskflow.destinations.kinds import find_kind
from oauth_taskflow.engine.positions import names_window
from oauth_taskflow.errors import SpecError
from oauth_taskflow.redaction import redact_line
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Interval, move_interval
from oauth_taskflow.taskflow.config import is_broker_configured, store_url, watermark_store_url
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.dags.storage import store_access
from oauth_taskflow.taskflow.dags.watermark_places import broker_error, require_shared
from oauth_taskflow.taskflow.processes import in_task
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import Value, WatermarkState, compare, is_instant, to_stored

if TYPE_CHECKING:
    from oauth_taskflow.taskflow.dags.operators import EndpointDoneOperator
    from oauth_taskflow.watermarks.keeper import WatermarkKeeper
    from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
    from oauth_taskflow.watermarks.store import WatermarkStore

# The key of the mirror in the asset's state store.
MIRROR_KEY = "watermark"


def find_watermark_run(endpoint: Endpoint, context: Mapping[str, Any]) -> Interval | None:
    """Returns what a run in watermark mode reads, from the beginning to its moment; None for a run in interval mode.

    A backfill reads its data interval, and moves no watermark.

    Raises:
        SpecError: a backfill of an endpoint that sends no window.
    """
    options = endpoint.incremental
    if options is None or not options.keeps_watermark:
        return None
    run = context["dag_run"]
    if str(getattr(run.run_type, "value", run.run_type)) == "backfill":
        if options.cursor is not None or not (options.keep or names_window(endpoint)):
            raise SpecError(
                [
                    "A backfill reads a data interval, and this endpoint sends none: it reads from a stored watermark or "
                    "cursor alone. To read everything again, run airflow oauth watermark reset."
                ]
            )
        return None
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    has_interval = start is not None and end is not None and start < end
    if options.by == "interval" and has_interval:
        return None
    moment = datetime.fromtimestamp(run.run_after.timestamp(), tz=timezone.utc)
    return Interval(None, moment, open_end=True)


def open_watermarks(identity: EndpointId, run_id: str, *, moves: bool = True) -> RunWatermarks:
    """Returns the stored watermarks of ``identity`` for one task instance of a run.

    Raises:
        WatermarkError: this deployment cannot keep watermarks.
        TokenStoreError: the URL of the store is unusable.
    """
    from oauth_taskflow.watermarks.run_watermarks import RunWatermarks  # noqa: PLC0415 - loads SQLAlchemy

    keeper = find_watermark_keeper(identity)
    return RunWatermarks(keeper, identity, run_id, read_manifest, moves=moves)


def find_watermark_keeper(identity: EndpointId) -> WatermarkKeeper:
    """Returns what keeps the watermarks of ``identity``: the broker, for tasks that do not open its store, else the store.

    Raises:
        WatermarkError: tasks run on machines that do not see the store.
        TokenStoreError: the URL of the store is unusable.
    """
    url = watermark_store_url()
    if not url and in_task() and _is_brokered(identity.conn_id):
        from oauth_taskflow.taskflow.broker.watermark_client import (  # noqa: PLC0415 - loads SQLAlchemy
            BrokerWatermarkStore,
        )

        return BrokerWatermarkStore(broker_error)
    require_shared(url or store_url(), identity)
    return _open(url or store_url())


def open_watermark_store() -> WatermarkStore:
    """Returns the store of watermarks.

    Raises:
        TokenStoreError: the URL of the store is unusable.
    """
    return _open(watermark_store_url() or store_url())


@lru_cache(maxsize=4)
def _open(url: str) -> WatermarkStore:
    from oauth_taskflow.watermarks.store import WatermarkStore  # noqa: PLC0415 - loads SQLAlchemy

    return WatermarkStore(url)


def _is_brokered(conn_id: str) -> bool:
    return is_broker_configured() or isinstance(load_settings(conn_id).auth, BrokeredSettings)


def read_manifest(place: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the manifest at a place of output, of ``engine.positions.open_positions``; None before the commit.

    Raises:
        DestinationError: the place cannot be read.
    """
    destination = find_kind(place["kind"]).connect_for_reading(place["conn_id"], store_access())
    return destination.read_manifest(place["path"])


def sweep_watermarks(
    operator: EndpointDoneOperator, endpoint: Endpoint, count: int, context: Mapping[str, Any]
) -> None:
    """Before output of a mapped endpoint is removed: lets its partitions be read again, and drops parents that are gone.

    ``count`` is the number of task instances that the run has now; the output of others is removed.

    Raises:
        TokenStoreError: the database failed.
    """
    from oauth_taskflow.watermarks.bounds import GRACE  # noqa: PLC0415 - loads SQLAlchemy

    if find_watermark_run(endpoint, context) is None or operator.conn_id is None:
        return
    identity = _identify(operator, operator.conn_id, context)
    find_watermark_keeper(identity).sweep(identity, GRACE, context["run_id"], count)


def _identify(
    operator: EndpointDoneOperator, conn_id: str, context: Mapping[str, Any]
) -> EndpointId:
    return EndpointId(context["dag"].dag_id, operator.instances_task_id, conn_id)


def finish_watermarks(
    operator: EndpointDoneOperator,
    endpoint: Endpoint,
    highest: str | float | None,
    context: Mapping[str, Any],
) -> None:
    """After all instances of a mapped endpoint: moves the shared watermark, if there is one.

    ``highest`` is the highest value that an instance came to, as the API wrote it.

    Raises:
        TokenStoreError: the database failed.
    """
    interval = find_watermark_run(endpoint, context)
    if interval is None or endpoint.incremental is None or operator.conn_id is None:
        return
    identity = _identify(operator, operator.conn_id, context)
    store = find_watermark_keeper(identity)
    value = to_stored(highest, endpoint.incremental.field_format)
    # A number says nothing of the moment at which another partition was read, so it cannot stand for all; nor can an instant
    # after the run's own, of instances that ran a release that counted such values.
    if value is not None and is_instant(value) and _is_before_run(value, endpoint, interval):
        store.roll_up(identity, context["run_id"], WatermarkState(value))
    for asset in operator.outlets:
        mirror(identity, asset, context, operator.log)


def _is_before_run(value: Value, endpoint: Endpoint, interval: Interval) -> bool:
    assert endpoint.incremental is not None
    moment = move_interval(endpoint.incremental, interval).end
    return compare(value, moment.isoformat()) <= 0


def mirror(identity: EndpointId, asset: Any, context: Mapping[str, Any], log: Any) -> None:
    """Shows the watermark in Airflow's asset state store, where there is one (Airflow 3.3); a failure is a warning."""
    try:
        known = context.get("asset_state_store")
        if known is None:
            return
        lowest, partitions = find_watermark_keeper(identity).sum_up(identity)
        known[asset].set(
            MIRROR_KEY,
            {
                "value": lowest.value,
                "cursor": lowest.cursor,
                "partitions": partitions,
                "run_id": context["run_id"],
            },
        )
    # Airflow's comms, its server and backends of deployments raise exceptions of many kinds.
    except Exception as error:  # noqa: BLE001
        log.warning(
            "The watermark of %s is stored, but Airflow's asset state store does not show it (%s: %s)",
            *(identity, type(error).__name__, redact_line(str(error), 200)),
        )
