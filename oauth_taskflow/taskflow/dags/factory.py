"""A checked spec as Airflow DAG: one task per endpoint, mapped tasks where it repeats."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pendulum
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions.mappedoperator import MappedOperator
from pendulum import FixedTimezone, Timezone

from oauth_taskflow.destinations.requirements import describe_missing, find_missing
from oauth_taskflow.engine.for_each import build_mapped_items, for_each_options
from oauth_taskflow.errors import SpecError
from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.specs.budgets import complete_endpoint
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.defaults import without_default_type
from oauth_taskflow.specs.model import (
    SCHEDULES_WITHOUT_INTERVAL,
    TASK_DURATIONS,
    AssetSchedule,
    DagSpec,
    Endpoint,
    Spec,
    TaskOptions,
    parent_names,
)
from oauth_taskflow.specs.template_names import PARAM_TEMPLATE
from oauth_taskflow.specs.yaml_writer import yaml_text
from oauth_taskflow.taskflow.dags.operators import (
    EndpointDoneOperator,
    EndpointOperator,
    ParentBatchesOperator,
)
from oauth_taskflow.taskflow.dags.storage import own_disk_warning
from oauth_taskflow.taskflow.dags.watermark_places import why_refused

EndpointTask = BaseOperator | MappedOperator
AnyDag = TypeVar("AnyDag", bound=DAG)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tasks:
    """The task that pulls an endpoint, and the one that returns all its files and has its asset as outlet."""

    pull: EndpointTask
    done: BaseOperator


def build_dag(spec: Spec | str | Path, **overrides: Any) -> DAG:
    """Builds the DAG of ``spec``, a checked spec or the path of its YAML file.

    ``overrides`` are arguments of Airflow's ``DAG`` that win over the file's.

    Raises:
        SpecError: the file has problems; all of them are in ``.problems``.
    """
    return fill_dag(DAG, _require_valid(spec), overrides)


def fill_dag(kind: type[AnyDag], checked: Spec, overrides: Mapping[str, Any]) -> AnyDag:
    """Builds a DAG of class ``kind`` for a checked spec; ``overrides`` are arguments that win over the file's."""
    arguments = {**_dag_arguments(checked), **overrides}
    with kind(schedule=arguments.pop("schedule"), **arguments) as dag:
        if "params" not in overrides:
            # Plain values: there is nothing for the JSON Schema check that Airflow's DAG makes, a tenth of a parse.
            dag.params.update(checked.source.params)
        endpoint_tasks(checked)
    return dag


def endpoint_tasks(spec: Spec | str | Path) -> dict[str, EndpointTask]:
    """Builds the endpoint tasks of ``spec`` by name, in the DAG or task group whose ``with`` block is open.

    For a hand-written DAG that does something with what the endpoints wrote:
    ``endpoint_tasks("crm.yaml")["contacts"] >> load()``.

    Raises:
        SpecError: the file has problems.
    """
    checked = _require_valid(spec)
    tasks: dict[str, _Tasks] = {}
    _warn_of_own_disks(checked)
    _warn_of_missing_extras(checked)
    if refusal := why_refused(checked):
        _log.warning("%s", refusal)
    for name in checked.order:
        tasks[name] = _endpoint_task(checked, name, tasks)
    return {name: made.pull for name, made in tasks.items()}


def _require_valid(spec: Spec | str | Path) -> Spec:
    if isinstance(spec, Spec):
        return spec
    result = check_file(spec)
    errors = [problem for problem in result.problems if problem.is_error]
    if errors or result.spec is None:
        raise SpecError(errors)
    return result.spec


def _endpoint_task(spec: Spec, name: str, tasks: Mapping[str, _Tasks]) -> _Tasks:
    endpoint = complete_endpoint(spec, name)
    arguments = _task_arguments(spec, name, endpoint)
    outlets = [endpoint_asset(spec.source.dag_id, name)]
    options = for_each_options(endpoint)
    if not options:
        task = EndpointOperator(endpoint=endpoint, outlets=outlets, **arguments)
        return _Tasks(task, task)
    helpers = operator_arguments(spec.source.default_args)
    mapped = EndpointOperator.partial(
        endpoint=without_default_type(msgspec.to_builtins(endpoint)),
        map_index_template="{{ task.item_label }}",
        **arguments,
    )
    parents = parent_names(endpoint)
    batches = None
    if parents:
        batches = ParentBatchesOperator(
            task_id=f"{name}__batches",
            for_each=msgspec.to_builtins(options),
            # A prefix from an enclosing task group belongs to the id that XComs are filed under.
            parent_task_ids={parent: tasks[parent].done.task_id for parent in parents},
            **helpers,
        )
        for parent in parents:
            tasks[parent].done.set_downstream(batches)
    instances = mapped.expand(
        item=batches.output if batches else msgspec.to_builtins(build_mapped_items(options, {}))
    )
    done = EndpointDoneOperator(
        task_id=f"{name}__done",
        endpoint_name=name,
        endpoint=endpoint,
        instances_task_id=instances.task_id,
        batches_task_id=batches.task_id if batches else None,
        default_params=arguments["default_params"],
        conn_id=arguments["conn_id"] if _keeps_watermark(endpoint) else None,
        outlets=outlets,
        **helpers,
    )
    instances.set_downstream(done)
    return _Tasks(instances, done)


def _task_arguments(spec: Spec, name: str, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "task_id": name,
        "endpoint_name": name,
        "conn_id": endpoint.connection or spec.source.connection,
        "doc_md": _task_doc(spec, endpoint),
        "default_params": _default_params(spec, endpoint),
        **operator_arguments(spec.source.default_args),
        **operator_arguments(endpoint.task),
    }


def _task_doc(spec: Spec, endpoint: Endpoint) -> str:
    """The endpoint's description and its complete YAML.

    Airflow makes a new version of a DAG when what it serialises changes, and of an endpoint it serialises nothing but
    this. It also shows it to people, with the defaults merged in.
    """
    options = without_default_type(msgspec.to_builtins(endpoint))
    options.pop("description", None)
    if spec.source.connection is not None:
        options.setdefault("connection", spec.source.connection)
    text = f"```yaml\n{yaml_text(options)}```\n"
    return f"{endpoint.description}\n\n{text}" if endpoint.description else text


def _warn_of_own_disks(spec: Spec) -> None:
    """Log, before the first run, that a destination is on one machine's disk while tasks run on several."""
    for name, destination in (
        (name, each) for name, e in spec.endpoints.items() for each in e.all_destinations
    ):
        path = destination.templates().get("path", "")
        filled = PARAM_TEMPLATE.sub(lambda found: str(spec.source.params.get(found[1], "")), path)
        if warning := own_disk_warning(filled):
            _log.warning("%s, endpoint %s: %s", spec.source.dag_id, name, warning)
            return  # the others most likely share its root


def _warn_of_missing_extras(spec: Spec) -> None:
    """Log that a destination needs a library that is not installed here; workers may have it."""
    found = {
        name: [missing for options in each.all_destinations for missing in find_missing(options)]
        for name, each in spec.endpoints.items()
    }
    missing = [each for some in found.values() for each in some]
    if missing:
        what, hint = describe_missing(missing)
        names = ", ".join(name for name, some in found.items() if some)
        _log.warning(
            "%s, endpoint %s: %s on the machine that parses DAGs; without it on the workers the task fails at its start. %s",
            *(spec.source.dag_id, names, what, hint),
        )


def _default_params(spec: Spec, endpoint: Endpoint) -> dict[str, Any]:
    """Returns the params as the author wrote them, for an endpoint whose destination may depend on them.

    Copied at parse time: Airflow writes the values of a run into the DAG's ``params``.
    """
    texts = (text for each in endpoint.all_destinations for text in each.templates().values())
    if not any("params" in text for text in texts):
        return {}
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
    return Asset(name=f"{dag_id}/{endpoint}", uri=f"oauth-taskflow://{dag_id}/{endpoint}")


def operator_arguments(options: TaskOptions) -> dict[str, Any]:
    """Returns Airflow's operator arguments for ``options``; options that are left out keep Airflow's default."""
    arguments = {
        key: value
        for key, value in msgspec.structs.asdict(options).items()
        if value is not msgspec.UNSET
    }
    for key in TASK_DURATIONS:
        if key in arguments:
            arguments[key] = _span(arguments[key])
    return arguments


def _dag_arguments(spec: Spec) -> dict[str, Any]:
    source = spec.source
    zone = _zone(source.timezone)
    arguments: dict[str, Any] = {
        "dag_id": source.dag_id,
        "schedule": _schedule(source, interval=_is_incremental(spec), zone=zone),
        "start_date": _moment(source.start_date, zone),
        "catchup": source.catchup,
        "tags": source.tags,
        "doc_md": _dag_doc(source.doc_md),
        "description": source.description or None,
        "owner_links": source.owner_links,
        "default_args": operator_arguments(source.default_args),
        "is_paused_upon_creation": source.is_paused_upon_creation,
    }
    if source.end_date is not None:
        arguments["end_date"] = _moment(source.end_date, zone)
    if source.schedule == "@continuous":
        arguments["max_active_runs"] = 1  # Airflow takes no more, and its default is more
    if any(e.incremental and e.incremental.by == "watermark" for e in spec.endpoints.values()):
        arguments["max_active_runs"] = (
            1  # runs at once would begin at one watermark, and read the same
        )
    for name in ("max_active_runs", "max_active_tasks"):
        if (value := getattr(source, name)) is not None:
            arguments[name] = value
    if source.dagrun_timeout is not None:
        arguments["dagrun_timeout"] = _span(source.dagrun_timeout)
    return arguments


def _dag_doc(text: str) -> str | None:
    # Airflow takes a text that ends in .md for the name of a file.
    return f"{text}\n" if text.endswith(".md") else text or None


def _span(duration: str) -> timedelta:
    return timedelta(seconds=duration_seconds(duration))


def _is_incremental(spec: Spec) -> bool:
    return any(endpoint.incremental is not None for endpoint in spec.endpoints.values())


def _keeps_watermark(endpoint: Endpoint) -> bool:
    return endpoint.incremental is not None and endpoint.incremental.keeps_watermark


def _zone(name: str) -> Timezone | FixedTimezone:
    # Airflow serialises pendulum's zones only.
    return pendulum.timezone(name)


def _moment(text: str | None, zone: Timezone | FixedTimezone) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    # A DAG takes its zone, and that of a plain cron expression, from its start date.
    return moment.astimezone(zone) if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _schedule(source: DagSpec, *, interval: bool, zone: Timezone | FixedTimezone) -> Any:
    schedule = source.schedule
    if isinstance(schedule, AssetSchedule):
        return [Asset(uri=uri) if "://" in uri else Asset.ref(name=uri) for uri in schedule.assets]
    if schedule is None or schedule in SCHEDULES_WITHOUT_INTERVAL:
        return schedule
    if schedule.startswith("P"):
        return _delta_schedule(_span(schedule), interval=interval)
    dated = source.start_date is not None
    return _cron_schedule(schedule, interval=interval, dated=dated, zone=zone)


# Airflow 3 gives plain cron strings and deltas an empty data interval (``[scheduler] create_cron_data_intervals``);
# an incremental endpoint reads its interval, so it gets the timetable that has one.
def _cron_schedule(
    cron: str, *, interval: bool, dated: bool, zone: Timezone | FixedTimezone
) -> Any:
    if dated and not interval:
        return cron  # in the zone of the start date
    from airflow.sdk import (  # only where intervals or a zone matter  # noqa: PLC0415
        CronDataIntervalTimetable,
        CronTriggerTimetable,
    )

    if interval or conf.getboolean("scheduler", "create_cron_data_intervals"):
        return CronDataIntervalTimetable(cron, timezone=zone)
    return CronTriggerTimetable(cron, timezone=zone)


def _delta_schedule(delta: timedelta, *, interval: bool) -> Any:
    if not interval:
        return delta
    from airflow.sdk import DeltaDataIntervalTimetable  # see _cron_schedule  # noqa: PLC0415

    return DeltaDataIntervalTimetable(delta)
