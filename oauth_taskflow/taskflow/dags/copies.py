"""Objects of Airflow as copies of one that Airflow made with the same arguments, which costs a fifth of making each.

The first object of a kind and set of arguments is made by Airflow, the second too, and both are compared: only where the
second is exactly what a copy of the first would be, later ones are copies. So a release of Airflow that makes its objects
otherwise costs time and changes nothing. Airflow copies objects itself, in ``DAG.partial_subset`` and before a task runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from airflow.sdk.definitions.param import ParamsDict

from oauth_taskflow.taskflow.retry_policy import OAuthRetryPolicy

# Values that objects can share; an empty container means the same in each, and each gets its own.
_SHARED = (str, int, float, timedelta, Enum, OAuthRetryPolicy, type, property, type(None))
_CONTAINERS = (list, dict, set, ParamsDict)


class Original:
    """The state of an object that Airflow made, and whether others may be copies of it.

    ``own`` are the names of values that each copy brings along. ``is_alike`` is None until a second object was compared
    with its copy.
    """

    def __init__(self, state: Mapping[str, Any], own: Collection[str]) -> None:
        left = {name: value for name, value in state.items() if name not in own}
        empty = {n: type(v) for n, v in left.items() if type(v) in _CONTAINERS and not v}
        self._containers = list(empty.items())
        # With a place for each value, so that a copy of it does not grow.
        self._state = {**dict.fromkeys(state), **{n: v for n, v in left.items() if n not in empty}}
        self.is_alike: bool | None = (
            None if all(map(_is_shareable, self._state.values())) else False
        )

    def copy_state(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the state of a copy with the values ``own``."""
        state = self._state.copy()
        for name, container in self._containers:
            state[name] = container()
        state.update(own)
        return state


def is_same_state(one: Mapping[str, Any], two: Mapping[str, Any], but: Collection[str]) -> bool:
    """Returns whether two objects have the same values of the same types, apart from those named ``but``."""
    return one.keys() == two.keys() and all(
        _is_equal(value, two[name]) for name, value in one.items() if name not in but
    )


def _is_shareable(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_shareable, value))
    return isinstance(value, _SHARED)


def _is_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return bool(one == other) or (isinstance(one, OAuthRetryPolicy) and vars(one) == vars(other))
