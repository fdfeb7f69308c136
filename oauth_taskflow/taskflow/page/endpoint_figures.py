"""The figures of endpoints' runs, from Airflow's database alone: XComs, and asset events where XComs are kept elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.taskflow.page.endpoint_tasks import EndpointTask

# Runs that are looked through for the last one of each endpoint.
_MOST_RUNS = 25
_MOST_INSTANCES = 2_000
_MOST_DATASETS = 20
_RESULT = "return_value"


class Figures(Struct, frozen=True, omit_defaults=True):
    """The figures of a summary that a page shows; files and schemas, which may be long, stay in the XCom.

    ``tasks`` counts the instances that were added up. The other names mean what they mean in ``EndpointSummary``.
    """

    rows: int
    pages: int | None = None
    sequences: int | None = None
    bytes: int | None = None
    received_bytes: int | None = None
    seconds: float | None = None
    duplicates: int = 0
    filtered: int = 0
    outside: int = 0
    rejected: int = 0
    watermark: str | int | float | None = None
    interval: list[str] | None = None
    waits: dict[str, float] = {}
    warnings: list[str] = []
    token_refreshes: int = 0
    resumed: int = 0
    tasks: int | None = None
    drift: list[str] = []
    destination: str = ""
    manifest: str | None = None
    manifests: list[str] = []
    datasets: list[str] = []


class RunFigures(Struct, frozen=True):
    """The figures of one endpoint in one run; ``states`` counts the instances of its pull task by state, of the latest run.

    ``figures`` are None where no run has any. ``is_partial``: some
    instances are not done.
    """

    run_id: str | None = None
    figures: Figures | None = None
    is_partial: bool = False
    states: dict[str, int] = {}


class _Run(Struct, frozen=True):
    id: int
    run_id: str


def read_figures(
    session: Session,
    dag_id: str,
    endpoints: Sequence[EndpointTask],
    *,
    run_id: str | None = None,
    map_index: int = -1,
) -> tuple[str | None, dict[str, RunFigures]]:
    """Returns the id of the latest run, and the figures of each endpoint by its pull task: of its last run that has any.

    With ``run_id`` of that run alone; with ``map_index`` of one mapped instance of it.
    """
    runs = _list_runs(session, dag_id, run_id) if endpoints else []
    if not runs:
        return run_id, {endpoint.task_id: RunFigures() for endpoint in endpoints}
    if map_index >= 0:
        found = _read_instances(session, runs[0], endpoints, map_index)
    else:
        found = _read_results(session, dag_id, runs, endpoints)
        found |= _read_unfinished(session, runs[0], endpoints, found)
    states = _count_states(session, dag_id, runs[0].run_id, [e.task_id for e in endpoints])
    return runs[0].run_id, {
        endpoint.task_id: replace(
            found.get(endpoint.task_id, RunFigures()), states=states.get(endpoint.task_id, {})
        )
        for endpoint in endpoints
    }


def show(summary: Mapping[str, Any]) -> Figures | None:
    """Returns the figures of a summary, with URLs redacted and lists of a bounded length; None for another value."""
    try:
        found = read_as(Figures, summary)
    except msgspec.ValidationError:
        return None  # an author's XCom, or that of another release
    datasets = [redact_url(name) for name in found.datasets[:_MOST_DATASETS]]
    if more := len(found.datasets) - len(datasets):
        datasets.append(f"{more:,} more")
    manifest = found.manifest or next(iter(found.manifests), None)
    return replace(
        found,
        destination=found.destination or DEFAULT_KIND,
        manifest=None if manifest is None else redact_url(manifest),
        manifests=[],
        datasets=datasets,
    )


def _list_runs(session: Session, dag_id: str, run_id: str | None) -> list[_Run]:
    query = select(DagRun.id, DagRun.run_id).where(DagRun.dag_id == dag_id)
    if run_id is not None:
        query = query.where(DagRun.run_id == run_id)
    query = query.order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(_MOST_RUNS)
    return [_Run(*row) for row in session.execute(query)]


def _count_states(
    session: Session, dag_id: str, run_id: str, task_ids: Sequence[str]
) -> dict[str, dict[str, int]]:
    query = (
        select(TaskInstance.task_id, TaskInstance.state, func.count())
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .where(TaskInstance.task_id.in_(task_ids))
        .group_by(TaskInstance.task_id, TaskInstance.state)
    )
    states: dict[str, dict[str, int]] = {}
    for task_id, state, count in session.execute(query):
        states.setdefault(task_id, {})[str(state or "none")] = count
    return states


def _read_results(
    session: Session, dag_id: str, runs: Sequence[_Run], endpoints: Sequence[EndpointTask]
) -> dict[str, RunFigures]:
    """The last result of each endpoint. Values are read for the runs that count alone: they may be long."""
    by_result = {endpoint.result_task_id: endpoint for endpoint in endpoints}
    order = {run.id: at for at, run in enumerate(runs)}
    query = select(XComModel.task_id, XComModel.dag_run_id).where(
        XComModel.dag_run_id.in_(list(order)),
        XComModel.task_id.in_(list(by_result)),
        XComModel.map_index == -1,
        XComModel.key == _RESULT,
    )
    last: dict[str, int] = {}
    for task_id, run in session.execute(query):
        last[task_id] = min(last.get(task_id, len(runs)), order[run])
    found: dict[str, RunFigures] = {}
    for at in sorted(set(last.values())):
        wanted = [task_id for task_id, place in last.items() if place == at]
        for task_id, summary in _read_values(session, runs[at], wanted):
            endpoint = by_result[task_id]
            known = summary or _read_event(session, dag_id, runs[at], endpoint) or {}
            found[endpoint.task_id] = RunFigures(runs[at].run_id, show(known))
    return found


def _read_values(
    session: Session, run: _Run, task_ids: Sequence[str], map_index: int = -1
) -> Iterable[tuple[str, dict[str, Any] | None]]:
    query = select(XComModel.task_id, XComModel.value).where(
        XComModel.dag_run_id == run.id,
        XComModel.task_id.in_(task_ids),
        XComModel.map_index == map_index,
        XComModel.key == _RESULT,
    )
    for task_id, value in session.execute(query):
        yield task_id, _read_summary(value)


def _read_summary(value: Any) -> dict[str, Any] | None:
    """The summary in an XCom; None where a backend keeps it elsewhere, or something else was written."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) and "rows" in value else None


def _read_event(
    session: Session, dag_id: str, run: _Run, endpoint: EndpointTask
) -> dict[str, Any] | None:
    """The figures in the asset's event of that run."""
    ids = select(AssetModel.id).where(AssetModel.name == (endpoint.asset or ""))
    query = (
        select(AssetEvent.extra)
        .where(AssetEvent.asset_id.in_(ids), AssetEvent.source_dag_id == dag_id)
        .where(AssetEvent.source_run_id == run.run_id)
        .order_by(AssetEvent.timestamp.desc())
        .limit(1)
    )
    return _read_summary(session.scalar(query))


def _read_instances(
    session: Session, run: _Run, endpoints: Sequence[EndpointTask], map_index: int
) -> dict[str, RunFigures]:
    values = _read_values(session, run, [e.task_id for e in endpoints], map_index)
    return {
        task_id: RunFigures(run.run_id, show(value))
        for task_id, value in values
        if value is not None
    }


def _read_unfinished(
    session: Session,
    run: _Run,
    endpoints: Sequence[EndpointTask],
    found: Mapping[str, RunFigures],
) -> dict[str, RunFigures]:
    """The sum of the instances so far, for mapped endpoints that are not added up yet in ``run``."""
    open_ones = {
        endpoint.task_id: endpoint
        for endpoint in endpoints
        if endpoint.done_task_id and found.get(endpoint.task_id, RunFigures()).run_id != run.run_id
    }
    query = (
        select(XComModel.task_id, XComModel.value)
        .where(XComModel.dag_run_id == run.id, XComModel.task_id.in_(list(open_ones)))
        .where(XComModel.map_index >= 0, XComModel.key == _RESULT)
        .limit(_MOST_INSTANCES)
    )
    summaries: dict[str, list[EndpointSummary]] = {}
    for task_id, value in session.execute(query) if open_ones else ():
        summary = _convert(_read_summary(value))
        if summary is not None:
            summaries.setdefault(task_id, []).append(summary)
    return {
        task_id: RunFigures(run.run_id, show(_sum(open_ones[task_id].name, some)), is_partial=True)
        for task_id, some in summaries.items()
    }


def _convert(value: dict[str, Any] | None) -> EndpointSummary | None:
    try:
        return read_as(EndpointSummary, value)
    except msgspec.ValidationError:
        return None  # an author's XCom, or that of another release


def _sum(name: str, summaries: Sequence[EndpointSummary]) -> dict[str, Any]:
    # The instances that are not done yet may show that paging went on.
    summaries = [replace(one, ends=None) for one in summaries]
    try:
        total = add_up(name, summaries)
    except OAuthTaskflowError:  # watermarks that cannot be compared
        total = add_up(name, [replace(one, watermark=None) for one in summaries])
    plain: dict[str, Any] = msgspec.to_builtins(total)
    return plain
