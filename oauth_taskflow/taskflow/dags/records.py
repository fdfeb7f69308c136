"""``endpoint_records``: the records of an endpoint, for tasks that come after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.suggestions import did_you_mean
from oauth_taskflow.taskflow.dags.operators import EndpointDoneOperator, EndpointOperator
from oauth_taskflow.taskflow.dags.storage import store_access


def endpoint_records(name: str) -> EndpointRecords:
    """Returns the records that an endpoint wrote, for a task that comes after it.

    ``endpoint_records("contacts")`` are those of this DAG run; a mapped endpoint's are those of all its instances.
    ``endpoint_records("crm/contacts")`` are those of the DAG ``crm``, in the runs whose asset events started this run.

    Args:
        name: the endpoint's name, the id of its task, or the name of its asset, ``<dag_id>/<endpoint>``.

    Raises:
        OAuthTaskflowError: outside a task, for an endpoint that is unknown, and where it left no result.
    """
    context = _task_context(name)
    tasks = list(_endpoint_tasks(context["task"].dag))
    found = [task for task in tasks if name in {task.task_id, task.endpoint_name}]
    if len(found) == 1:
        return EndpointRecords(name, _read_summaries(name, found[0], context["ti"]), store_access())
    if found:
        shown = ", ".join(sorted(task.task_id for task in found))
        raise OAuthTaskflowError(
            f"Several tasks of this DAG pull an endpoint {name!r}: {shown}",
            hint="Name the task: endpoint_records takes its id too.",
        )
    if "/" not in name:
        raise _unknown(name, [task.endpoint_name for task in tasks])
    return EndpointRecords(name, list(_triggering_summaries(name, context)), store_access())


def _task_context(name: str) -> Mapping[str, Any]:
    from airflow.sdk import get_current_context  # loads most of Airflow  # noqa: PLC0415

    try:
        context: Mapping[str, Any] = get_current_context()
    except RuntimeError as error:
        raise OAuthTaskflowError(
            f"endpoint_records({name!r}) was called outside a task",
            hint="Call it in the function of a task, which runs after the endpoint.",
        ) from error
    return context


def _endpoint_tasks(dag: Any) -> Iterator[EndpointOperator | EndpointDoneOperator]:
    """Yields the tasks that return the figures of an endpoint, never a mapped one."""
    for task in dag.task_dict.values():
        if isinstance(task, (EndpointOperator, EndpointDoneOperator)):
            yield task


def _read_summaries(
    name: str, task: EndpointOperator | EndpointDoneOperator, ti: Any
) -> list[Mapping[str, Any]]:
    """Returns the figures of a task in this run: for a mapped endpoint those of its last task, else of its instances."""
    summary = ti.xcom_pull(task_ids=task.task_id, map_indexes=-1)
    if summary is not None:
        return [summary]
    if isinstance(task, EndpointDoneOperator):
        from oauth_taskflow.taskflow.dags.endpoint_task import current_summaries  # noqa: PLC0415 - loads requests

        count, found = current_summaries(task, ti)
        if count and len(found) == count:
            return [each.as_dict() for each in found]
    raise _no_result(name, task.task_id)


def _triggering_summaries(name: str, context: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    events = context.get("triggering_asset_events") or {}
    sources = {
        (event.source_dag_id, event.source_run_id, event.source_task_id): None
        for asset in events
        if asset.name == name
        for event in events[asset]
    }
    if not sources:
        known = ", ".join(sorted(asset.name for asset in events))
        raise OAuthTaskflowError(
            f"No event of the asset {name!r} started this run",
            hint=f'Schedule this DAG by it: schedule: {{assets: ["{name}"]}}. '
            + (f"This run was started by: {known}." if known else "No asset started this run."),
        )
    for dag_id, run_id, task_id in sources:
        if task_id is None:
            raise OAuthTaskflowError(
                f"An event of the asset {name!r} that started this run was made by hand, or by another system",
                hint="No task wrote records for it. Run the DAG that pulls the endpoint: its event starts this one.",
            )
        summary = context["ti"].xcom_pull(
            task_ids=task_id, dag_id=dag_id, run_id=run_id, map_indexes=-1
        )
        if summary is None:
            raise _no_result(name, task_id, f"of DAG {dag_id!r}, run {run_id!r}")
        yield summary


def _no_result(name: str, task_id: str, place: str = "") -> OAuthTaskflowError:
    return OAuthTaskflowError(
        f"The endpoint {name!r} left no result"
        if place
        else f"The endpoint {name!r} left no result in this run",
        where=f"in task {task_id!r} {place}".rstrip(),
        hint="This task must come after it. If it does, that task was skipped, or marked as successful by hand: clear it.",
    )


def _unknown(name: str, names: list[str]) -> OAuthTaskflowError:
    known = sorted(set(names))
    shown = did_you_mean(name, known) or f"It has: {', '.join(known) or 'none'}."
    return OAuthTaskflowError(
        f"This DAG has no endpoint {name!r}",
        hint=f'{shown} Records of another DAG: endpoint_records("<dag_id>/{name}").',
    )
