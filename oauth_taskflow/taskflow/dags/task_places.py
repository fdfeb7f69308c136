"""Puts a task into a DAG as Airflow does, without its checks of each value; see ``copies``.

``DAG.add_task`` and ``TaskGroup.add`` compare the dates and groups of each task, which a copy has none of yet. Whether they
still do no more than ``register`` is measured on a task that Airflow added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from airflow.sdk import DAG, TaskGroup

Sizes = Mapping[str, int]


def register(task_id: str, task: Any, dag: DAG) -> bool:
    """Enters ``task`` into ``dag`` and its root group; False where Airflow has something to check, such as an id that is taken."""
    group = dag.task_group
    if (
        dag.fail_fast
        or task_id in dag.task_dict
        or task_id in group.children
        or task_id in group.used_group_ids
    ):
        return False
    dag.task_dict[task_id] = task
    group.children[task_id] = task
    group.used_group_ids.add(task_id)
    return True


def measure(dag: DAG) -> Sizes:
    """Returns how many entries each container of ``dag`` and of its root group has."""
    group = {each.name: getattr(dag.task_group, each.name) for each in attrs.fields(TaskGroup)}
    values = {f"dag.{name}": value for name, value in vars(dag).items()}
    values |= {f"group.{name}": value for name, value in group.items()}
    return {
        name: len(value) for name, value in values.items() if isinstance(value, dict | set | list)
    }


def is_registered(task: Any, dag: DAG, before: Sizes) -> bool:
    """Returns whether Airflow has done with ``task`` what ``register`` does, and nothing else that ``measure`` sees."""
    grown = ("dag.task_dict", "group.children", "group.used_group_ids")
    group, task_id = dag.task_group, task.task_id
    return (
        measure(dag) == {**before, **{name: before[name] + 1 for name in grown}}
        and (task.dag, task.start_date, task.end_date) == (dag, dag.start_date, dag.end_date)
        and dag.task_dict.get(task_id) is group.children.get(task_id) is task
        and task_id in group.used_group_ids
    )
