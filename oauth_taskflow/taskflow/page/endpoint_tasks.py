"""The endpoints of a DAG, as they are in what Airflow serialised of it: their tasks and their YAML. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

_MODULE = "oauth_taskflow.taskflow.dags.operators"
_FENCE = "```yaml\n"
# Lines around a change.
_CONTEXT = 3


class EndpointTask(Struct, frozen=True):
    """One endpoint: its name in the spec, its description and YAML, the task that pulls it and the one that adds up.

    ``done_task_id`` is None where the pull task is not mapped; ``asset`` is the name of the asset.
    """

    name: str
    task_id: str
    done_task_id: str | None
    description: str
    spec: str
    asset: str | None

    @property
    def result_task_id(self) -> str:
        """The task whose XCom has the figures of the whole endpoint."""
        return self.done_task_id or self.task_id


def find_endpoints(serialized: Mapping[str, Any]) -> list[EndpointTask]:
    """Returns the endpoints of a serialised DAG, by the order of its tasks; none for a DAG without this package's tasks."""
    tasks = {task.get("task_id", ""): task for task in _tasks(serialized)}
    return [
        _read(task_id, task, tasks)
        for task_id, task in tasks.items()
        if task.get("task_type") == "EndpointOperator" and task.get("_task_module") == _MODULE
    ]


def find_by_task(endpoints: Iterable[EndpointTask], task_id: str) -> EndpointTask | None:
    """Returns the endpoint that a task works for; None for the tasks of others."""
    for endpoint in endpoints:
        if task_id in {endpoint.task_id, endpoint.done_task_id, f"{endpoint.task_id}__batches"}:
            return endpoint
    return None


def diff_specs(before: str, after: str) -> list[str]:
    """Returns the lines of a unified diff without its head: each begins with a space, ``-``, ``+`` or ``@@``."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_CONTEXT)
    return list(lines)[2:]


def _tasks(serialized: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    dag = serialized.get("dag")
    found = dag.get("tasks") if isinstance(dag, Mapping) else None
    for one in found if isinstance(found, list) else ():
        task = one.get("__var", one) if isinstance(one, Mapping) else None
        if isinstance(task, Mapping):
            yield task


def _read(
    task_id: str, task: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
) -> EndpointTask:
    arguments = task.get("partial_kwargs") or {}
    doc = str(task.get("doc_md") or arguments.get("doc_md") or "")
    description, _, rest = doc.rpartition(_FENCE)
    done = f"{task_id}__done" if f"{task_id}__done" in tasks else None
    asset = _first_asset(tasks[done] if done else task)
    name = str(arguments.get("endpoint_name") or (asset or task_id).rpartition("/")[2])
    spec = rest.removesuffix("```\n")
    return EndpointTask(name, task_id, done, description.strip(), spec, asset)


def _first_asset(task: Mapping[str, Any]) -> str | None:
    for outlet in task.get("outlets") or ():
        value = outlet.get("__var", outlet) if isinstance(outlet, Mapping) else {}
        if str(value.get("uri", "")).startswith("oauth-taskflow://"):
            return str(value.get("name"))
    return None
