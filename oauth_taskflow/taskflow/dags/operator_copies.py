"""Makes operators as copies of one that Airflow made with the same arguments; see ``copies``.

``BaseOperator.__init__`` checks and converts some fifty arguments, the same ones for nearly every task of a folder of
specs, and ``partial().expand()`` does so for mapped ones.

Not thread-safe, as Airflow's DAG context is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar
from weakref import ProxyType, proxy

import attrs
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases import operator as airflow_operator
from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
from airflow.sdk.definitions._internal.setup_teardown import SetupTeardownContext
from airflow.sdk.definitions.mappedoperator import MappedOperator

from oauth_taskflow.taskflow.dags.copies import Original, is_same_state
from oauth_taskflow.taskflow.dags.task_places import is_registered, measure, register

AnyOperator = TypeVar("AnyOperator", bound=BaseOperator)

# A folder in which no two tasks have the same arguments must not fill the memory with operators.
_MOST = 256
_ARGUMENTS = "_BaseOperator__init_kwargs"
# The place in a DAG, which is an operator's own like its ``task_id``.
_PLACE = ("start_date", "end_date", "_dag", "task_group", _ARGUMENTS)
_RELATIVES = ("upstream_task_ids", "downstream_task_ids")
_MAPPED_PLACE = ("start_date", "end_date", "dag", "task_group", "partial_kwargs")


class _OperatorOriginal:
    """The states of an operator that Airflow made and of its arguments."""

    def __init__(self, made: BaseOperator, own: Mapping[str, Any]) -> None:
        state = vars(made)
        self.operator = Original(state, {*own, *_PLACE, *_RELATIVES})
        self.arguments = {k: v for k, v in state[_ARGUMENTS].items() if k not in own}
        self.is_alike = self.operator.is_alike


class _MappedOriginal:
    """The states of a mapped operator that Airflow made and of its arguments; ``own`` are the latter's."""

    def __init__(self, made: MappedOperator, own: Mapping[str, Any]) -> None:
        names = {"task_id", "expand_input", *_MAPPED_PLACE, *_RELATIVES}
        self.operator = Original(_mapped_state(made), names)
        self.arguments = Original(made.partial_kwargs, own.keys())
        # Airflow's class of what an operator is mapped over.
        self.over: Any = type(made.expand_input)
        is_simple = self.operator.is_alike is None and self.arguments.is_alike is None
        self.is_alike: bool | None = None if is_simple else False


_originals: dict[tuple[Any, ...], _OperatorOriginal] = {}
_mapped_originals: dict[tuple[Any, ...], _MappedOriginal] = {}


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
    sizes = measure(dag)
    made = kind(**shared, **own)
    if original is None:
        if len(_originals) < _MOST and _is_airflows(BaseOperator.__init__):
            _originals[key] = _OperatorOriginal(made, own)
    elif original.is_alike is None:
        is_placed = is_registered(made, dag, sizes) and vars(made)["task_group"] is dag.task_group
        original.is_alike = is_placed and _is_same(made, _copy(kind, original, own))
    return made


def make_mapped(
    kind: type[BaseOperator],
    shared: Mapping[str, Any],
    own: Mapping[str, Any],
    over: Mapping[str, Any],
) -> MappedOperator:
    """Makes ``kind.partial(**shared, **own).expand(**over)`` in the DAG whose ``with`` block is open.

    The caller puts a task whose result it is mapped over before it.
    """
    dag = DagContext.get_current()
    if dag is None or not _is_plain(dag):
        return kind.partial(**shared, **own).expand(**over)
    key = (kind, *own, *shared.items(), *((name, type(value)) for name, value in over.items()))
    original = _mapped_originals.get(key)
    if original is not None and original.is_alike:
        return _place_mapped(_copy_mapped(original, own, over), dag)
    sizes = measure(dag)
    made = kind.partial(**shared, **own).expand(**over)
    if original is None:
        if len(_mapped_originals) < _MOST and _is_airflows(BaseOperator.__init__):
            _mapped_originals[key] = _MappedOriginal(made, own)
    elif original.is_alike is None:
        group: Any = made.task_group
        is_placed = is_registered(made, dag, sizes) and type(group) is ProxyType
        original.is_alike = is_placed and _is_same_mapped(made, _copy_mapped(original, own, over))
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


def _copy(
    kind: type[AnyOperator], original: _OperatorOriginal, own: Mapping[str, Any]
) -> AnyOperator:
    made = kind.__new__(kind)
    state = original.operator.copy_state(own)
    for name in _RELATIVES:
        state[name] = set()
    state[_ARGUMENTS] = {**original.arguments, **own}
    # At once: Airflow's operators have their own __setattr__.
    object.__setattr__(made, "__dict__", state)
    return made


def _copy_mapped(
    original: _MappedOriginal, own: Mapping[str, Any], over: Mapping[str, Any]
) -> MappedOperator:
    made = MappedOperator.__new__(MappedOperator)
    arguments = original.arguments.copy_state(own)
    state = original.operator.copy_state({"task_id": arguments.pop("task_id")})
    state.update(
        expand_input=original.over(dict(over)),
        partial_kwargs=arguments,
        upstream_task_ids=set(),
        downstream_task_ids=set(),
    )
    for name, value in state.items():
        object.__setattr__(made, name, value)
    return made


def _mapped_state(made: MappedOperator) -> dict[str, Any]:
    return {each.name: getattr(made, each.name) for each in attrs.fields(MappedOperator)} | vars(
        made
    )


def _place(made: AnyOperator, dag: DAG) -> AnyOperator:
    state, group = vars(made), dag.task_group
    state[_ARGUMENTS].update(dag=dag, task_group=group)
    if register(made.task_id, made, dag):
        state.update(task_group=group, _dag=dag, start_date=dag.start_date, end_date=dag.end_date)
        return made
    group.add(made)
    state["task_group"], state["_dag"] = group, dag
    dag.add_task(made)
    return made


def _place_mapped(made: MappedOperator, dag: DAG) -> MappedOperator:
    made.dag = dag
    if register(made.task_id, made, dag):
        made.task_group = proxy(dag.task_group)
        times: Any = (dag.start_date, dag.end_date)
        made.start_date, made.end_date = times
        return made
    dag.task_group.add(made)
    dag.add_task(made)
    return made


def _is_same(made: BaseOperator, copied: BaseOperator) -> bool:
    """Whether Airflow's ``made`` has the values of ``copied``, apart from their places in a DAG."""
    one, two = vars(made), vars(copied)
    places = {"dag", "task_group"}
    arguments = [
        {k: v for k, v in state[_ARGUMENTS].items() if k not in places} for state in (one, two)
    ]
    return is_same_state(one, two, {*_PLACE, *_RELATIVES}) and arguments[0] == arguments[1]


def _is_same_mapped(made: MappedOperator, copied: MappedOperator) -> bool:
    return is_same_state(
        _mapped_state(made), _mapped_state(copied), {*_MAPPED_PLACE, *_RELATIVES}
    ) and is_same_state(made.partial_kwargs, copied.partial_kwargs, ())
