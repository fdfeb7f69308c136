"""The arguments of Airflow's DAG and operators, as a spec gives them."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import pendulum
from airflow.sdk import DAG, Asset
from airflow.sdk.configuration import conf
from pendulum import FixedTimezone, Timezone

from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.specs.model import (
    SCHEDULES_WITHOUT_INTERVAL,
    TASK_DURATIONS,
    AssetSchedule,
    DagSpec,
    Spec,
    TaskOptions,
)


def read_dag_defaults() -> dict[str, Any]:
    """Returns the arguments of a DAG that Airflow would read from its configuration, for each DAG again."""
    known = inspect.signature(DAG.__init__).parameters
    found = {
        "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
        "max_active_runs": conf.getint("core", "max_active_runs_per_dag"),
        "max_consecutive_failed_dag_runs": conf.getint(
            "core", "max_consecutive_failed_dag_runs_per_dag"
        ),
        "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
    }
    return {name: value for name, value in found.items() if name in known}


def operator_arguments(options: TaskOptions) -> dict[str, Any]:
    """Returns Airflow's operator arguments for ``options``; options that are left out keep Airflow's default."""
    return dict(_operator_arguments(options))


@lru_cache(maxsize=256)
def _operator_arguments(options: TaskOptions) -> dict[str, Any]:
    arguments = {
        key: value
        for key, value in msgspec.structs.asdict(options).items()
        if value is not msgspec.UNSET
    }
    for key in TASK_DURATIONS:
        if key in arguments:
            arguments[key] = _span(arguments[key])
    return arguments


def dag_arguments(spec: Spec) -> dict[str, Any]:
    """Returns the arguments of the DAG of ``spec``, without its params, default arguments and times."""
    source = spec.source
    arguments: dict[str, Any] = {
        "dag_id": source.dag_id,
        "catchup": source.catchup,
        "tags": source.tags,
        "doc_md": _dag_doc(source.doc_md),
        "description": source.description or None,
        "is_paused_upon_creation": source.is_paused_upon_creation,
    }
    if source.owner_links:
        arguments["owner_links"] = source.owner_links
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


def dag_times(spec: Spec) -> dict[str, Any]:
    """Returns the arguments of the DAG of ``spec`` that say when it runs."""
    source = spec.source
    zone = _zone(source.timezone)
    times: dict[str, Any] = {
        "schedule": _schedule(source, interval=_is_incremental(spec), zone=zone),
        "start_date": _moment(source.start_date, zone),
    }
    if source.end_date is not None:
        times["end_date"] = _moment(source.end_date, zone)
    return times


def find_times_key(spec: Spec) -> tuple[Any, ...] | None:
    """Returns the same for specs with the same ``dag_times``; None where a schedule by assets has its own objects."""
    source = spec.source
    if isinstance(source.schedule, AssetSchedule):
        return None
    dates = (source.start_date, source.end_date, source.timezone)
    return (source.schedule, _is_incremental(spec), *dates)


def _dag_doc(text: str) -> str | None:
    # Airflow takes a text that ends in .md for the name of a file.
    return f"{text}\n" if text.endswith(".md") else text or None


def _span(duration: str) -> timedelta:
    return timedelta(seconds=duration_seconds(duration))


def _is_incremental(spec: Spec) -> bool:
    return any(endpoint.incremental is not None for endpoint in spec.endpoints.values())


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
