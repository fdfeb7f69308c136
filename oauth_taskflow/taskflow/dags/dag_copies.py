"""Makes the DAGs of a folder of specs as copies of one that Airflow made with the same arguments; see ``copies``.

Airflow's ``DAG`` asks the configuration, checks some forty arguments and works out a timetable. DAGs of one folder differ
in their id and texts; many have a schedule in common, whose timetable they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import attrs
from airflow.sdk import DAG, TaskGroup

from oauth_taskflow.destinations.requirements import is_installed
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.taskflow.dags.arguments import (
    dag_arguments,
    dag_times,
    find_times_key,
    read_dag_defaults,
)
from oauth_taskflow.taskflow.dags.copies import Original, is_same_state

AnyDag = TypeVar("AnyDag", bound=DAG)

# The memory must not fill with schedules that no two DAGs have in common.
_MOST = 4096
# Arguments that each DAG has for itself; Airflow keeps them unchanged, the tags as a set.
_OWN = ("dag_id", "description", "doc_md", "tags")
_TIMES = ("schedule", "timetable", "timezone", "start_date", "end_date")
_NOT_COPIED = frozenset({*_OWN, *_TIMES, "dag_display_name", "task_group"})


class _DagOriginal:
    """The states of a DAG that Airflow made and of its root group."""

    def __init__(self, made: DAG) -> None:
        self.dag = Original(vars(made), _NOT_COPIED)
        self.group = Original(_group_state(made.task_group), {"dag"})
        is_simple = self.dag.is_alike is None and self.group.is_alike is None
        self.is_alike: bool | None = None if is_simple else False


class DagCopies:
    """Makes the DAGs of one load. The configuration is read once, and each library is looked for once."""

    def __init__(self) -> None:
        self.is_installed = lru_cache(is_installed)
        self._defaults = read_dag_defaults()
        self._originals: dict[tuple[Any, ...], _DagOriginal] = {}
        self._times: dict[tuple[Any, ...], dict[str, Any]] = {}

    def make(self, kind: type[AnyDag], spec: Spec) -> AnyDag:
        """Makes the DAG of a checked spec, without tasks, params and default arguments."""
        shared = {**self._defaults, **dag_arguments(spec)}
        own = {name: shared.pop(name) for name in _OWN}
        times_key = find_times_key(spec)
        if times_key is None or "owner_links" in shared:
            return kind(**own, **shared, **dag_times(spec))
        # What Airflow checks together is one key: some schedules need a start date, or allow one run at once only.
        together = (*times_key, shared["catchup"], shared.get("max_active_runs"))
        key = (kind, *shared.items())
        original, times = self._originals.get(key), self._times.get(together)
        if original is not None and original.is_alike and times is not None:
            return _copy(kind, original, own, times)
        made = kind(**own, **shared, **dag_times(spec))
        state = vars(made)
        if times is None:
            times = {name: state[name] for name in _TIMES}
            if len(self._times) < _MOST:
                self._times[together] = times
        if original is None:
            if len(self._originals) < _MOST and _is_airflows(kind):
                self._originals[key] = _DagOriginal(made)
        elif original.is_alike is None:
            original.is_alike = _is_same(made, _copy(kind, original, own, times))
        return made


def _is_airflows(kind: type[DAG]) -> bool:
    """Whether Airflow's own constructor makes ``kind``: a deployment's patch may set anything on each DAG."""
    init = kind.__init__
    return init is DAG.__init__ and init.__module__ == DAG.__module__ and not _is_wrapped(init)


def _is_wrapped(function: Any) -> bool:
    return hasattr(function, "__wrapped__")


def _copy(
    kind: type[AnyDag], original: _DagOriginal, own: Mapping[str, Any], times: Mapping[str, Any]
) -> AnyDag:
    made = kind.__new__(kind)
    texts = {**own, "tags": set(own["tags"]), "dag_display_name": own["dag_id"]}
    # At once: Airflow's DAG has its own __setattr__.
    object.__setattr__(made, "__dict__", original.dag.copy_state({**texts, **times}))
    group = TaskGroup.__new__(TaskGroup)
    for name, value in original.group.copy_state({"dag": made}).items():
        object.__setattr__(group, name, value)
    vars(made)["task_group"] = group
    return made


def _is_same(made: DAG, copied: DAG) -> bool:
    """Whether Airflow's ``made`` has the values of ``copied``; times come from Airflow's own DAGs."""
    groups = _group_state(made.task_group), _group_state(copied.task_group)
    return is_same_state(vars(made), vars(copied), {*_TIMES, "task_group"}) and is_same_state(
        *groups, {"dag"}
    )


def _group_state(group: TaskGroup) -> dict[str, Any]:
    """Returns the attributes of ``group``, also those that a deployment's patch has set."""
    return {each.name: getattr(group, each.name) for each in attrs.fields(TaskGroup)} | vars(group)
