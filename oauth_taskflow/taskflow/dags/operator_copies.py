"""Makes operators as copies of one that Airflow made with the same arguments, which costs a fifth of making each.

``BaseOperator.__init__`` checks and converts some fifty arguments, the same ones for nearly every task of a folder of
specs. So the first operator of a kind and set of arguments is made by Airflow, the second too, and both are compared:
only where the second is exactly what a copy of the first would be, later ones are copies. Airflow copies operators
itself, in ``DAG.partial_subset`` and before a task runs.

Not thread-safe, as Airflow's DAG context is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases import operator as airflow_operator
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
from airflow.sdk.definitions._internal.setup_teardown import SetupTeardownContext
from airflow.sdk.definitions.param import ParamsDict

from oauth_taskflow.taskflow.retry_policy import OAuthRetryPolicy

AnyOperator = TypeVar("AnyOperator", bound=BaseOperator)

# A folder in which no two tasks have the same arguments must not fill the memory with operators.
_MOST = 256
_ARGUMENTS = "_BaseOperator__init_kwargs"
# The place in a DAG, which is an operator's own like its ``task_id``.
_PLACE = ("start_date", "end_date", "_dag", "task_group", _ARGUMENTS)
_RELATIVES = ("upstream_task_ids", "downstream_task_ids")
# Values that operators can share; an empty container means the same in each, and each gets its own.
_SHARED = (str, int, float, timedelta, Enum, OAuthRetryPolicy, type(None))
_CONTAINERS = (list, dict, set, ParamsDict)


class _Original:
    """The state of an operator that Airflow made, and whether others may be copies of it.

    ``is_alike`` is None until a second one was compared with its copy.
    """

    def __init__(self, made: BaseOperator, own: Mapping[str, Any]) -> None:
        state = vars(made)
        left = {k: v for k, v in state.items() if k not in {*own, *_PLACE, *_RELATIVES}}
        self.containers = {k: type(v) for k, v in left.items() if type(v) in _CONTAINERS and not v}
        self.state = {k: v for k, v in left.items() if k not in self.containers}
        self.arguments = {k: v for k, v in state[_ARGUMENTS].items() if k not in own}
        is_simple = all(isinstance(value, _SHARED) for value in self.state.values())
        self.is_alike: bool | None = None if is_simple else False


_originals: dict[tuple[Any, ...], _Original] = {}


def make_operator(
    kind: type[AnyOperator], shared: Mapping[str, Any], own: Mapping[str, Any]
) -> AnyOperator:
    """Makes ``kind(**shared, **own)`` in the DAG whose ``with`` block is open.

    ``shared`` are arguments with hashable values; ``own`` are those that differ from task to task: ``task_id``, and
    others that the operator keeps unchanged under their own names.
    """
    dag = DagContext.get_current()
    if dag is None or not _is_plain(dag):
        return kind(**shared, **own)
    key = (kind, *own, *shared.items())
    original = _originals.get(key)
    if original is not None and original.is_alike:
        return _place(_copy(kind, original, own), dag)
    made = kind(**shared, **own)
    if original is None:
        if len(_originals) < _MOST and _is_airflows(BaseOperator.__init__):
            _originals[key] = _Original(made, own)
    elif original.is_alike is None:
        original.is_alike = _is_same(made, _copy(kind, original, own))
    return made


def _is_plain(dag: DAG) -> bool:
    """Whether a new task takes nothing from its surroundings but its dates: no defaults, params, groups, or set-up."""
    group = TaskGroupContext.get_current(dag)
    return (
        group is dag.task_group
        and not (dag.default_args or dag.params or group.default_args)
        and not SetupTeardownContext.active
    )


def _is_airflows(init: Any) -> bool:
    """Whether ``init`` is what Airflow's own file defines: a deployment's patch may set anything on each operator."""
    files = {inspect.getsourcefile(airflow_operator)}
    return {inspect.getsourcefile(each) for each in (init, inspect.unwrap(init))} == files


def _copy(kind: type[AnyOperator], original: _Original, own: Mapping[str, Any]) -> AnyOperator:
    made = kind.__new__(kind)
    state = vars(made)
    state.update(original.state)
    for name, container in original.containers.items():
        state[name] = container()
    for name in _RELATIVES:
        state[name] = set()
    state.update(own)
    state.update(dict.fromkeys(_PLACE))
    state[_ARGUMENTS] = {**original.arguments, **own}
    return made


def _place(made: AnyOperator, dag: DAG) -> AnyOperator:
    """Adds ``made`` to ``dag`` by Airflow's own methods, which refuse an id that is taken."""
    state, group = vars(made), dag.task_group
    state[_ARGUMENTS].update(dag=dag, task_group=group)
    group.add(made)
    state["task_group"], state["_dag"] = group, dag
    dag.add_task(made)
    return made


def _is_same(made: BaseOperator, copied: BaseOperator) -> bool:
    """Whether Airflow's ``made`` has the values of ``copied``, apart from their places in a DAG."""
    one, two = vars(made), vars(copied)
    names = one.keys() - {*_PLACE, *_RELATIVES}
    places = {"dag", "task_group"}
    arguments = {k: v for k, v in one[_ARGUMENTS].items() if k not in places}
    return (
        one.keys() == two.keys()
        and all(_is_equal(one[name], two[name]) for name in names)
        and arguments == {k: v for k, v in two[_ARGUMENTS].items() if k not in places}
    )


def _is_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return bool(one == other) or (isinstance(one, OAuthRetryPolicy) and vars(one) == vars(other))
