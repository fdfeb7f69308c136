"""An endpoint inside a task run: Airflow's context in, a summary out, progress in the task log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from oauth_taskflow.api.page import Page
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.engine.parents import Share, label
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.windows import Interval
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.scope import RUN_NAMES
from oauth_taskflow.taskflow.refresh_count import refreshes
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.taskflow.storage import open_path

if TYPE_CHECKING:
    from oauth_taskflow.taskflow.operators import EndpointOperator

_LOG_EVERY_SECONDS = 10.0


class Logger(Protocol):
    """What progress is logged with: the standard library's loggers, and the structured one of Airflow tasks."""

    def info(self, msg: str, /, *args: Any) -> Any:
        """Log at level INFO."""


class ProgressLog:
    """Logs pages, rows and rows per second every ten seconds, so that no task is silent for long."""

    def __init__(self, log: Logger, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._log = log
        self._name = name
        self._clock = clock
        self._began = self._last = clock.monotonic()
        self._pages = self._rows = 0

    def __call__(self, page: Page) -> None:
        """Count ``page``, and log when it is time."""
        self._pages += 1
        self._rows += page.count
        now = self._clock.monotonic()
        if now - self._last >= _LOG_EVERY_SECONDS:
            self._last = now
            speed = self._rows / (now - self._began)
            self._log.info(
                "%s: %s pages, %s rows, %.0f rows/s", self._name, self._pages, self._rows, speed
            )


def run_in_task(operator: EndpointOperator, context: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``operator``'s endpoint; the summary as plain data.

    Raises:
        OAuthTaskflowError: as ``run_endpoint`` and ``open_session`` raise.
    """
    item = operator.item or {}
    name = f"{operator.endpoint_name} ({label(item)})" if item else operator.endpoint_name
    run = EndpointRun(
        name=operator.endpoint_name,
        endpoint=msgspec.convert(operator.endpoint, Endpoint, from_attributes=True),
        run_id=context["run_id"],
        scope=task_scope(operator.endpoint_name, context),
        interval=run_interval(context),
        open_path=open_path,
        item=msgspec.convert(item, dict[str, Share]),
        map_index=context["ti"].map_index,
    )
    before = refreshes(operator.conn_id)
    with open_session(operator.conn_id) as session:
        summary = run_endpoint(run, session, on_page=ProgressLog(operator.log, name))
    operator.log.info(
        "%s: %s rows in %s pages, %.1f s, written to %s",
        name,
        summary.rows,
        summary.pages,
        summary.seconds,
        ", ".join(file.path for file in summary.files),
    )
    return {**summary.as_dict(), "token_refreshes": refreshes(operator.conn_id) - before}


def task_scope(endpoint: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """What templates see in a task; a name that this run has no value for is left out, so that using it fails."""
    known = {
        **{name: context.get(name) for name in RUN_NAMES},
        "endpoint": endpoint,
        "dag_id": context["dag"].dag_id,
        "map_index": context["ti"].map_index,
    }
    return {name: value for name, value in known.items() if value is not None}


def run_interval(context: Mapping[str, Any]) -> Interval:
    """The run's data interval; from the beginning to the run's own time when it has none, or an empty one.

    Manual and asset-triggered runs of a DAG without schedule have no interval
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dag-run.html).
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return Interval(_utc(start), _utc(end))
    moment = context.get("logical_date") or context["dag_run"].run_after
    return Interval(None, _utc(moment))


def _utc(moment: datetime) -> datetime:
    # A plain datetime: templates of the spec format write instants, not pendulum's classes.
    return datetime.fromtimestamp(moment.timestamp(), tz=timezone.utc)
