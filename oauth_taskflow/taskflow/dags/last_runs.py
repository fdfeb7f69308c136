"""Finds the run before, in the events of an endpoint's asset or in a manifest.

The events are Airflow's own record of committed runs: every executor and broker mode can read them, and they outlive the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from oauth_taskflow.contracts.last_run import LastRun, LastRunFinder, find_no_run
from oauth_taskflow.destinations.base import Destination, Run
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.redaction import redact_line

# Other runs, and other DAGs, may have added events since.
_MOST_EVENTS = 50


def find_in_events(asset: Any, dag_id: str, run_id: str) -> LastRun | None:
    """Returns the last run of the DAG before ``run_id`` that ``asset`` has an event of; None without one.

    Raises:
        OAuthTaskflowError: Airflow does not give the events.
    """
    from airflow.sdk.execution_time.context import InletEventsAccessors  # noqa: PLC0415 - in a task only

    try:
        events = list(
            InletEventsAccessors([asset])[asset].ascending(ascending=False).limit(_MOST_EVENTS)
        )
    # The supervisor, the API server and the network raise exceptions of many kinds.
    except Exception as error:
        failure = OAuthTaskflowError(
            f"The run before cannot be looked up ({type(error).__name__}: {redact_line(str(error), 200)})",
            where=f"in the events of asset {asset.uri}",
            hint="Let the task run again: checks.max_change compares with that run.",
        )
        failure.retryable = True
        raise failure from error
    for event in events:
        found = _read_event(event, dag_id, run_id)
        if found is not None:
            return found
    return None


def build_finder(operator: Any, context: Mapping[str, Any]) -> LastRunFinder:
    """Returns what looks up the run before in the events of the asset of a task; nothing is asked before it is called."""
    if not operator.outlets:
        return find_no_run
    return partial(find_in_events, operator.outlets[0], context["dag"].dag_id, context["run_id"])


def _read_event(event: Any, dag_id: str, run_id: str) -> LastRun | None:
    extra = event.extra
    is_other = event.source_dag_id == dag_id and event.source_run_id != run_id
    if not is_other or not isinstance(extra, dict) or not isinstance(extra.get("rows"), int):
        return None
    schema = extra.get("schema")
    return LastRun(event.source_run_id, extra["rows"], schema if isinstance(schema, dict) else None)


def find_in_manifest(destination: Destination, run: Run) -> LastRun | None:
    """Returns the run whose output ``run`` is about to replace; None without one.

    Raises:
        DestinationError: the destination cannot be read.
    """
    manifest = destination.read_manifest(destination.locate_manifest(run).path)
    if manifest is None or not isinstance(manifest.get("rows"), int):
        return None
    return LastRun(str(manifest.get("run_id", "")), manifest["rows"], manifest.get("schema"))
