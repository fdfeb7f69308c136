"""Runs an endpoint inside a task: Airflow's context comes in, a summary goes out, progress goes to the task log."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.destinations.base import Part
from oauth_taskflow.engine.comparisons import compare_total
from oauth_taskflow.engine.for_each import (
    Slice,
    build_mapped_items,
    count_contexts,
    for_each_options,
    item_label,
)
from oauth_taskflow.engine.output_location import locate_outputs
from oauth_taskflow.engine.outputs import find_quarantine_folder, output_locations
from oauth_taskflow.engine.run import EndpointRun, count_sequences, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import DestinationError, SpecError
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.specs.defaults import with_destination_type
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.template_names import RUN_NAMES
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.taskflow.config import hash_key
from oauth_taskflow.taskflow.dags.drift import announce_drift
from oauth_taskflow.taskflow.dags.last_runs import build_finder
from oauth_taskflow.taskflow.dags.run_log import Logger, PageLog
from oauth_taskflow.taskflow.dags.storage import own_disk_warning, store_access
from oauth_taskflow.taskflow.dags.stored_watermarks import (
    find_watermark_run,
    finish_watermarks,
    mirror,
    open_watermarks,
    sweep_watermarks,
)
from oauth_taskflow.taskflow.dags.suspension import build_resume_options, free_slot
from oauth_taskflow.taskflow.metrics import refreshes
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.waits import describe_waits
from oauth_taskflow.watermarks.partitions import EndpointId

_MOST_FILES = 5

if TYPE_CHECKING:
    from oauth_taskflow.taskflow.dags.operators import EndpointDoneOperator, EndpointOperator


def run_in_task(operator: EndpointOperator, context: Mapping[str, Any]) -> dict[str, Any]:
    """Runs ``operator``'s endpoint and returns the summary as plain data.

    Raises:
        OAuthTaskflowError: as ``run_endpoint`` and ``open_session`` raise.
        AirflowRescheduleException: the API asks for a long wait; see ``suspension``.
    """
    item = operator.item or {}
    endpoint = _read_endpoint(operator.endpoint)
    from_watermark = find_watermark_run(endpoint, context)
    interval = from_watermark or run_interval(context)
    identity = EndpointId(context["dag"].dag_id, operator.task_id, operator.conn_id)
    name = f"{operator.endpoint_name} ({item_label(item)})" if item else operator.endpoint_name
    run = EndpointRun(
        name=operator.endpoint_name,
        endpoint=endpoint,
        run_id=context["run_id"],
        template_context=task_template_context(operator.endpoint_name, context),
        interval=interval,
        access=store_access(),
        item=msgspec.convert(item, dict[str, Slice]),
        map_index=context["ti"].map_index,
        given=find_given_params(operator.default_params, context),
        hash_key=hash_key() if endpoint.fields and endpoint.fields.hashed else None,
        watermarks=None if from_watermark is None else open_watermarks(identity, context["run_id"]),
        resume=build_resume_options(endpoint),
        find_last_run=build_finder(operator, context),
    )
    if from_watermark is None:
        check_interval(name, endpoint, interval, operator.log)
    for options, place in zip(endpoint.all_destinations, output_locations(run), strict=True):
        if "path" in options.templates() and (warning := own_disk_warning(place)):
            operator.log.warning("%s: %s", name, warning)
    before = refreshes(operator.conn_id)
    with (
        free_slot(name, operator.log),
        open_session(operator.conn_id) as session,
        _open_log(operator.log, name, run) as progress,
    ):
        summary = run_endpoint(run, session, on_page=progress, on_sequence=progress.begin)
    _log_summary(operator.log, name, summary)
    announce_drift(name, endpoint, summary.drift, context, operator.log)
    if from_watermark is not None and operator.outlets:
        mirror(identity, operator.outlets[0], context, operator.log)
    return {**summary.as_dict(), "token_refreshes": refreshes(operator.conn_id) - before}


def _open_log(log: Logger, name: str, run: EndpointRun) -> PageLog:
    return PageLog(
        log,
        name,
        sequences=count_sequences(run.endpoint, run.item, run.interval),
        parents=count_contexts(run.item),
    )


def _log_summary(log: Logger, name: str, summary: EndpointSummary) -> None:
    rate = summary.rows / max(summary.seconds, 0.001)
    waits = describe_waits(summary.waits)
    log.info(
        "%s: %s rows in %s pages, %.1f s, %.0f rows/s%s, written to %s",
        name,
        summary.rows,
        summary.pages,
        summary.seconds,
        rate,
        f", {waits}" if waits else "",
        _name_files(summary),
    )
    if summary.filtered:
        log.info("%s: where left out %s records", name, summary.filtered)
    if summary.rejected:
        log.info("%s: %s records went to quarantine", name, summary.rejected)
    for warning in summary.warnings:
        log.warning("%s: %s", name, warning)


def _name_files(summary: EndpointSummary) -> str:
    """Returns the first files by name and the number of the others; a line of hundreds is of no use."""
    names = [file.path for file in summary.files[:_MOST_FILES]]
    more = len(summary.files) - len(names)
    return ", ".join([*names, *([f"{more:,} files more"] if more else [])]) or summary.manifest


def _read_endpoint(endpoint: Endpoint | Mapping[str, Any]) -> Endpoint:
    """The typed endpoint; Airflow keeps that of a mapped task as plain data without defaults."""
    given = with_destination_type(dict(endpoint)) if isinstance(endpoint, Mapping) else endpoint
    return msgspec.convert(given, Endpoint, from_attributes=True)


def finish_in_task(operator: EndpointDoneOperator, context: Mapping[str, Any]) -> dict[str, Any]:
    """Adds up the figures of a mapped endpoint's instances, removes stale output, and returns the total as plain data.

    Raises:
        OAuthTaskflowError: as ``remove_stale`` and the templates of the destination raise.
    """
    endpoint = _read_endpoint(operator.endpoint)
    count, summaries = current_summaries(operator, context["ti"])
    _require_all_here(summaries)
    sweep_watermarks(operator, endpoint, count, context)
    _remove_stale(operator, endpoint, context, count, summaries)
    incremental = endpoint.incremental
    figures = add_up(
        operator.endpoint_name,
        summaries,
        form=incremental.field_format if incremental is not None else None,
    )
    if len(summaries) == count:
        figures = compare_total(figures, endpoint, build_finder(operator, context))
        announce_drift(figures.endpoint, endpoint, figures.drift or (), context, operator.log)
        finish_watermarks(operator, endpoint, figures.watermark, context)
    for warning in figures.warnings:
        operator.log.warning("%s: %s", figures.endpoint, warning)
    operator.log.info(
        "%s: %s rows in %s pages by %s tasks",
        *(figures.endpoint, figures.rows, figures.pages, figures.tasks),
    )
    plain: dict[str, Any] = msgspec.to_builtins(figures)
    return plain


def _remove_stale(
    operator: EndpointDoneOperator,
    endpoint: Endpoint,
    context: Mapping[str, Any],
    count: int,
    summaries: Sequence[EndpointSummary],
) -> None:
    """Removes what an earlier try left at the destinations and in the folder of rejected records."""
    template_context = task_template_context(operator.endpoint_name, context)
    given = find_given_params(operator.default_params, context)

    def remove(options: AnyDestination, current: Mapping[int, str | None]) -> None:
        for location in locate_outputs(
            endpoint, context["run_id"], template_context, given, options=options
        ):
            if removed := options.connect(location, store_access()).remove_stale(current):
                operator.log.info(
                    "Removed the output of %s task instances of an earlier try from %s",
                    *(removed, redact_url(location)),
                )

    for at, options in enumerate(endpoint.all_destinations):
        remove(options, _current_manifests(count, summaries, at))
    folder = find_quarantine_folder(endpoint)
    if folder is not None:
        kept: dict[int, str | None] = dict.fromkeys(range(count))
        remove(folder, kept | {each.map_index: each.quarantine for each in summaries})


def _current_manifests(
    count: int, summaries: Sequence[EndpointSummary], at: int
) -> dict[int, str | None]:
    """Returns the manifest of each instance at the destination with this number.

    Instances that were marked as successful by hand left no summary: their output is unknown, so it stays.
    """
    current: dict[int, str | None] = dict.fromkeys(range(count))
    for summary in summaries:
        if at == 0:
            current[summary.map_index] = summary.manifest
        elif at <= len(summary.further):
            current[summary.map_index] = summary.further[at - 1].manifest
    return current


def _require_all_here(summaries: Sequence[EndpointSummary]) -> None:
    """Raises where instances wrote to disks of other machines: stale output there cannot be removed from here."""
    here = socket.gethostname()
    away = sorted(
        {
            file.host
            for summary in summaries
            for file in _all_files(summary)
            if file.host not in {"", here} and not Path(file.path).exists()
        }
    )
    if away:
        raise DestinationError(
            f"Output of this run is on the disks of other machines, {', '.join(away)}, and not on this one, {here}",
            where=f"at {summaries[0].manifest}",
            hint="Let the destination be an object store, or a folder that all workers share (docs/destinations.md).",
        )


def _all_files(summary: EndpointSummary) -> list[Part]:
    return [*summary.files, *(file for output in summary.further for file in output.files)]


def current_summaries(operator: EndpointDoneOperator, ti: Any) -> tuple[int, list[EndpointSummary]]:
    """Returns how many instances this try has, and their summaries.

    Airflow keeps the XComs of instances that a cleared run no longer has.
    """
    if operator.batches_task_id is None:
        endpoint = _read_endpoint(operator.endpoint)
        count = len(build_mapped_items(for_each_options(endpoint), {}))
    else:
        count = len(ti.xcom_pull(task_ids=operator.batches_task_id, map_indexes=-1) or ())
    pulled = ti.xcom_pull(task_ids=operator.instances_task_id) or []
    found = msgspec.convert(
        pulled if isinstance(pulled, list) else [pulled], list[EndpointSummary | None]
    )
    current = [s for s in found if s is not None and 0 <= s.map_index < count]
    return count, sorted(current, key=attrgetter("map_index"))


def task_template_context(endpoint: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the names in templates of a task; a name without a value in this run is left out, so that using it fails."""
    known = {
        **{name: context.get(name) for name in RUN_NAMES},
        "endpoint": endpoint,
        "dag_id": context["dag"].dag_id,
        "map_index": context["ti"].map_index,
        "run_after": context["dag_run"].run_after,
    }
    return {name: value for name, value in known.items() if value is not None}


def find_given_params(defaults: Mapping[str, Any], context: Mapping[str, Any]) -> set[str]:
    """Returns the names of params whose values came with the run's *conf*, except those that repeat the author's default.

    Airflow's form sends all params with each run, and Airflow writes them over the defaults of the DAG object.
    """
    params, conf = context.get("params") or {}, getattr(context.get("dag_run"), "conf", None) or {}
    return {
        name
        for name, value in params.items()
        if name in conf and (name not in defaults or value != defaults[name])
    }


def run_interval(context: Mapping[str, Any]) -> Interval:
    """Returns the run's data interval; without one, or with an empty one, from the beginning to the run's time, open-ended.

    Manual and asset-triggered runs of a DAG without schedule have no interval
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dag-run.html).
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return Interval(_utc(start), _utc(end))
    moment = context.get("logical_date") or context["dag_run"].run_after
    return Interval(None, _utc(moment), open_end=True)


def check_interval(name: str, endpoint: Endpoint, interval: Interval, log: Logger) -> None:
    """Logs what an incremental endpoint reads in a run without a data interval, and why; or refuses the run.

    Raises:
        SpecError: the spec says that such a run fails (``without_interval: fail``).
    """
    options = endpoint.incremental
    if options is None or interval.start is not None:
        return
    why = "it was triggered by hand, by the API or by assets, or its DAG has no schedule"
    if options.without_interval == "fail":
        raise SpecError(
            [
                f"{name}: this run has no data interval ({why}), and incremental.without_interval is fail. Trigger it "
                "with a logical date, or let the schedule or a backfill start it."
            ]
        )
    log.warning(
        "%s: this run has no data interval (%s): everything from %s (incremental.start) to %s is read, "
        "as by each such run",
        *(name, why, options.start, interval.end.isoformat()),
    )


def _utc(moment: datetime) -> datetime:
    # A plain datetime: templates of the spec format write instants, not pendulum's classes.
    return datetime.fromtimestamp(moment.timestamp(), tz=timezone.utc)
