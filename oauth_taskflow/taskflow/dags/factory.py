"""A checked spec as Airflow DAG: one task per endpoint, mapped tasks where it repeats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import attrs
import msgspec
from airflow.sdk import DAG, Asset, BaseOperator, Param
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.param import ParamsDict

from oauth_taskflow.destinations.requirements import (
    Requirement,
    describe_missing,
    is_installed,
    list_requirements,
)
from oauth_taskflow.engine.for_each import build_mapped_items, for_each_options
from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.budgets import complete_endpoint
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.model import (
    Endpoint,
    Spec,
    parent_names,
)
from oauth_taskflow.specs.template_names import PARAM_TEMPLATE
from oauth_taskflow.taskflow.dags.arguments import dag_arguments, dag_times, operator_arguments
from oauth_taskflow.taskflow.dags.dag_copies import DagCopies
from oauth_taskflow.taskflow.dags.operator_copies import make_mapped, make_operator
from oauth_taskflow.taskflow.dags.operators import (
    EndpointDoneOperator,
    EndpointOperator,
    ParentBatchesOperator,
)
from oauth_taskflow.taskflow.dags.storage import own_disk_warning
from oauth_taskflow.taskflow.dags.task_doc import describe_endpoint, plain_endpoint
from oauth_taskflow.taskflow.dags.watermark_places import why_refused

EndpointTask = BaseOperator | MappedOperator
AnyDag = TypeVar("AnyDag", bound=DAG)

_log = logging.getLogger(__name__)
_PARAM_STATE = {"value", "description", "schema", "source"}


@dataclass(frozen=True)
class _Tasks:
    """The task that pulls an endpoint, and the one that returns all its files and has its asset as outlet."""

    pull: EndpointTask
    done: BaseOperator


class _Places(NamedTuple):
    """Facts about the destinations of a spec.

    ``paths`` has an endpoint for each path, ``needed`` the endpoints for each library; the destinations of the endpoints
    ``with_params`` may depend on params.
    """

    paths: dict[str, str]
    needed: dict[Requirement, dict[str, None]]
    with_params: set[str]


class _Common(NamedTuple):
    """The common part of all endpoints of a spec: the default arguments of their tasks, and the params as written."""

    spec: Spec
    places: _Places
    defaults: dict[str, Any]
    params: dict[str, Any]


def build_dag(spec: Spec | str | Path, **overrides: Any) -> DAG:
    """Builds the DAG of ``spec``, a checked spec or the path of its YAML file.

    ``overrides`` are arguments of Airflow's ``DAG`` that win over the file's.

    Raises:
        SpecError: the file has problems; all of them are in ``.problems``.
    """
    return fill_dag(DAG, _require_valid(spec), overrides)


def fill_dag(
    kind: type[AnyDag],
    checked: Spec,
    overrides: Mapping[str, Any],
    copies: DagCopies | None = None,
    docs: Mapping[str, str] | None = None,
) -> AnyDag:
    """Builds a DAG of class ``kind`` for a checked spec.

    ``overrides`` are arguments that win over the file's. ``copies`` makes the DAG of one of many specs, without them.
    ``docs`` are endpoints' texts by ``describe_endpoints`` that are known already.
    """
    dag = (
        copies.make(kind, checked)
        if copies is not None
        else kind(**{**dag_arguments(checked), **dag_times(checked), **overrides})
    )
    with dag:
        _fill(checked, docs or {}, copies.is_installed if copies is not None else is_installed)
    # Airflow would copy both into each task, value by value. Defaults are among a task's arguments already.
    if "default_args" not in overrides:
        dag.default_args = operator_arguments(checked.source.default_args)
    params = {} if "params" in overrides else checked.source.params
    if params:
        # Plain values: there is nothing for the JSON Schema check that Airflow's DAG makes, a tenth of a parse.
        dag.params.update(params)
        made = [(name, dag.params.get_param(name)) for name in params]
        for task in dag.tasks:
            # Past the search of Airflow's operators for template fields, of which params are none.
            own = ParamsDict({name: _make_task_param(each) for name, each in made})
            object.__setattr__(task, "params", own)
    return dag


def _make_task_param(param: Param) -> Param:
    """Returns a param of a DAG as Airflow hands it to a task, without the check whether its value is JSON."""
    state = vars(param)
    if state.keys() != _PARAM_STATE:  # of another release of Airflow
        return Param(deepcopy(param.value), source="dag")
    copied = Param.__new__(Param)
    vars(copied).update(state, value=_copy_value(param.value), schema={}, source="dag")
    return copied


def _copy_value(value: Any) -> Any:
    return deepcopy(value) if isinstance(value, (dict, list)) else value


def endpoint_tasks(spec: Spec | str | Path) -> dict[str, EndpointTask]:
    """Builds the endpoint tasks of ``spec`` by name, in the DAG or task group whose ``with`` block is open.

    For a hand-written DAG that does something with what the endpoints wrote:
    ``endpoint_tasks("crm.yaml")["contacts"] >> load()``.

    Raises:
        SpecError: the file has problems.
    """
    return _fill(_require_valid(spec), {})


def _fill(
    checked: Spec, docs: Mapping[str, str], look_up: Callable[[Requirement], bool] = is_installed
) -> dict[str, EndpointTask]:
    tasks: dict[str, _Tasks] = {}
    places = _find_places(checked)
    _warn_of_own_disks(checked, places.paths)
    _warn_of_missing_extras(checked, places.needed, look_up)
    if refusal := why_refused(checked):
        _log.warning("%s", refusal)
    defaults = operator_arguments(checked.source.default_args)
    common = _Common(checked, places, defaults, _author_params(checked))
    for name in checked.order:
        tasks[name] = _endpoint_task(common, name, tasks, docs.get(name))
    return {name: made.pull for name, made in tasks.items()}


def _require_valid(spec: Spec | str | Path) -> Spec:
    if isinstance(spec, Spec):
        return spec
    result = check_file(spec)
    errors = [problem for problem in result.problems if problem.is_error]
    if errors or result.spec is None:
        raise SpecError(errors)
    return result.spec


def _endpoint_task(
    common: _Common, name: str, tasks: Mapping[str, _Tasks], doc: str | None
) -> _Tasks:
    spec, defaults = common.spec, common.defaults
    endpoint = complete_endpoint(spec, name)
    shared = {**defaults, **operator_arguments(endpoint.task)}
    own = _own_arguments(common, name, endpoint, doc)
    outlets = [endpoint_asset(spec.source.dag_id, name)]
    options = for_each_options(endpoint)
    if not options:
        own.update(endpoint=endpoint, outlets=outlets)
        task = make_operator(EndpointOperator, shared, own)
        return _Tasks(task, task)
    parents = parent_names(endpoint)
    batches = None
    if parents:
        batches_own = {
            "task_id": f"{name}__batches",
            "for_each": msgspec.to_builtins(options),
            # A prefix from an enclosing task group belongs to the id that XComs are filed under.
            "parent_task_ids": {parent: tasks[parent].done.task_id for parent in parents},
        }
        batches = make_operator(ParentBatchesOperator, defaults, batches_own)
        for parent in parents:
            _put_before(tasks[parent].done, batches)
    own.update(endpoint=plain_endpoint(endpoint), map_index_template="{{ task.item_label }}")
    items = batches.output if batches else msgspec.to_builtins(build_mapped_items(options, {}))
    instances = make_mapped(EndpointOperator, shared, own, {"item": items})
    if batches:
        _put_before(batches, instances)
    done_own = {
        "task_id": f"{name}__done",
        "endpoint_name": name,
        "endpoint": endpoint,
        "instances_task_id": instances.task_id,
        "batches_task_id": batches.task_id if batches else None,
        "default_params": own["default_params"],
        "conn_id": own["conn_id"] if _keeps_watermark(endpoint) else None,
        "outlets": outlets,
    }
    done = make_operator(EndpointDoneOperator, defaults, done_own)
    _put_before(instances, done)
    return _Tasks(instances, done)


def _put_before(first: EndpointTask, then: EndpointTask) -> None:
    """Does what ``first.set_downstream(then)`` does for two tasks of one DAG, without asking which DAGs theirs are."""
    first.downstream_task_ids.add(then.task_id)
    then.upstream_task_ids.add(first.task_id)


def _own_arguments(
    common: _Common, name: str, endpoint: Endpoint, doc: str | None
) -> dict[str, Any]:
    spec = common.spec
    if doc is None:
        doc = describe_endpoint(plain_endpoint(endpoint), spec.source.connection)
    return {
        "task_id": name,
        "endpoint_name": name,
        "conn_id": endpoint.connection or spec.source.connection,
        "doc_md": doc,
        "default_params": common.params if name in common.places.with_params else {},
    }


def _find_places(spec: Spec) -> _Places:
    places = _Places({}, {}, set())
    for name, endpoint in spec.endpoints.items():
        for options in endpoint.all_destinations:
            texts = options.templates()
            places.paths.setdefault(texts.get("path", ""), name)
            for each in list_requirements(options):
                places.needed.setdefault(each, {})[name] = None
            if "params" in " ".join(texts.values()):
                places.with_params.add(name)
    return places


def _warn_of_own_disks(spec: Spec, paths: Mapping[str, str]) -> None:
    """Log, before the first run, that a destination is on one machine's disk while tasks run on several."""
    for path, name in paths.items():
        filled = PARAM_TEMPLATE.sub(lambda found: str(spec.source.params.get(found[1], "")), path)
        if warning := own_disk_warning(filled):
            _log.warning("%s, endpoint %s: %s", spec.source.dag_id, name, warning)
            return  # the others most likely share its root


def _warn_of_missing_extras(
    spec: Spec,
    needed: Mapping[Requirement, Mapping[str, None]],
    look_up: Callable[[Requirement], bool],
) -> None:
    """Log that a destination needs a library that is not installed here; workers may have it."""
    missing = [each for each in needed if not look_up(each)]
    if missing:
        what, hint = describe_missing(missing)
        affected = {name for each in missing for name in needed[each]}
        names = ", ".join(name for name in spec.endpoints if name in affected)
        _log.warning(
            "%s, endpoint %s: %s on the machine that parses DAGs; without it on the workers the task fails at its start. %s",
            *(spec.source.dag_id, names, what, hint),
        )


def _author_params(spec: Spec) -> dict[str, Any]:
    """Returns the params as the author wrote them.

    Copied at parse time: Airflow writes the values of a run into the DAG's ``params``.
    """
    dag = DagContext.get_current()
    # Not params.dump(): it checks each value against JSON Schema, which costs a fourth of a parse.
    own = (
        {}
        if dag is None
        else {key: dag.params.get_param(key).dump()["value"] for key in dag.params}
    )
    return {**spec.source.params, **own}


def endpoint_asset(dag_id: str, endpoint: str) -> Asset:
    """Returns the asset that an endpoint task updates: name ``<dag_id>/<endpoint>``, for ``schedule: {assets: [...]}``."""
    asset = Asset.__new__(Asset)
    own = {
        "name": f"{dag_id}/{endpoint}",
        "uri": f"oauth-taskflow://{dag_id}/{endpoint}",
        "extra": {},
        "watchers": [],
    }
    for key, value in {**_asset_state(), **own}.items():
        # Past the checks and the normalization of URIs: ids within the bounds of the spec format pass both unchanged.
        object.__setattr__(asset, key, value)
    return asset


@lru_cache(maxsize=1)
def _asset_state() -> dict[str, Any]:
    """Returns the values of an asset that Airflow made."""
    first = Asset(name="dag/endpoint", uri="oauth-taskflow://dag/endpoint")
    return {each.name: getattr(first, each.name) for each in attrs.fields(Asset)}


def _keeps_watermark(endpoint: Endpoint) -> bool:
    return endpoint.incremental is not None and endpoint.incremental.keeps_watermark
