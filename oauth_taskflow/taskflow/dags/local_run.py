"""Runs the endpoints of a spec one after the other in this process, as its DAG does, without a scheduler."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.contracts.last_run import LastRunFinder, find_no_run
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import (
    ParentFile,
    Slice,
    build_mapped_items,
    for_each_options,
    item_label,
)
from oauth_taskflow.engine.output_location import destination_options
from oauth_taskflow.engine.positions import describe_place
from oauth_taskflow.engine.run import EndpointRun, count_sequences, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.specs.budgets import complete_endpoint
from oauth_taskflow.specs.model import Endpoint, Spec, parent_names
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.taskflow.config import hash_key
from oauth_taskflow.taskflow.dags.last_runs import find_in_manifest
from oauth_taskflow.taskflow.dags.storage import store_access
from oauth_taskflow.taskflow.dags.stored_watermarks import open_watermarks
from oauth_taskflow.watermarks.partitions import EndpointId

if TYPE_CHECKING:
    from oauth_taskflow.watermarks.run_watermarks import RunWatermarks


@dataclass(frozen=True)
class LocalRun:
    """The endpoints to run, and the values that a DAG run would bring.

    Args:
        spec: the checked spec.
        endpoints: names of the endpoints wanted, in pulling order; see ``add_parents``.
        output: absolute folder to write below, one sub-folder per endpoint; None writes to the destinations of the spec.
        params: values of the spec's params.
        interval: the span that incremental endpoints read.
        now: the run's own time (UTC).
        moves_watermarks: whether stored watermarks move; otherwise they are read only.
        given: names of the params whose values do not come from the spec.
        suffix: distinguishes runs of the same second.
    """

    spec: Spec
    endpoints: Sequence[str]
    output: Path | None
    params: Mapping[str, Any]
    interval: Interval
    now: datetime
    moves_watermarks: bool = False
    given: Collection[str] = ()
    suffix: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return f"pull__{self.now.isoformat(timespec='seconds')}__{self.suffix}"

    def complete_endpoint(self, name: str) -> Endpoint:
        """Returns an endpoint as it is pulled: into a folder it writes files, whatever its destinations are."""
        endpoint = complete_endpoint(self.spec, name)
        if self.output is None:
            return endpoint
        chosen: list[object] = list(endpoint.all_destinations)
        files = next((e for e in chosen if isinstance(e, FileDestination)), FileDestination())
        return replace(endpoint, destination=replace(files, conn_id=None), destinations=[])

    def locate(self, endpoint: str) -> str | None:
        """Returns the folder that an endpoint writes to; None where its destinations say it."""
        return None if self.output is None else str(self.output / endpoint)

    def open_watermarks(self, endpoint: str) -> RunWatermarks | None:
        """Returns the stored watermarks of an endpoint that begins at them; None where the run has its own beginning.

        Raises:
            WatermarkError: this deployment cannot keep watermarks.
        """
        options = self.spec.endpoints[endpoint].incremental
        if options is None or not options.keeps_watermark or self.interval.start is not None:
            return None
        conn_id = self.spec.endpoints[endpoint].connection or self.spec.source.connection or ""
        identity = EndpointId(self.spec.source.dag_id, endpoint, conn_id)
        return open_watermarks(identity, self.run_id, moves=self.moves_watermarks)

    def template_context(self, endpoint: str, map_index: int) -> dict[str, Any]:
        """Returns the names in templates."""
        start = self.interval.start or self.interval.end
        return {
            "params": dict(self.params),
            "endpoint": endpoint,
            "dag_id": self.spec.source.dag_id,
            "run_id": self.run_id,
            "run_after": self.now,
            "ds": self.now.strftime("%Y-%m-%d"),
            "ds_nodash": self.now.strftime("%Y%m%d"),
            "ts": self.now.isoformat(),
            "ts_nodash": self.now.strftime("%Y%m%dT%H%M%S"),
            "logical_date": self.now,
            "data_interval_start": start,
            "data_interval_end": self.interval.end,
            "map_index": map_index,
        }


@dataclass(frozen=True)
class EndpointResult:
    """The summaries of an endpoint that was pulled, one per mapped item; or a ``failure`` that says why it was not."""

    name: str
    summaries: Sequence[EndpointSummary] = ()
    failure: str = ""


@dataclass(frozen=True)
class Observer:
    """Receives the progress of a run: ``begin(endpoint, label, sequences)`` before each task, ``page`` after each page.

    ``sequences`` counts the request sequences of all tasks of the endpoint.
    """

    begin: Callable[[str, str, int], None]
    page: Callable[[Page], None]


def add_parents(spec: Spec, wanted: Sequence[str]) -> list[str]:
    """Returns ``wanted`` and every endpoint they repeat over, parents first; all endpoints when ``wanted`` is empty."""
    needed: set[str] = set()

    def add(name: str) -> None:
        needed.add(name)
        for parent in parent_names(spec.endpoints[name]):
            add(parent)

    for name in wanted or spec.endpoints:
        add(name)
    return [name for name in spec.order if name in needed]


def utc_now() -> datetime:
    """Returns the current time, aware UTC, to the second."""
    return datetime.now(tz=timezone.utc).replace(microsecond=0)


def run_locally(
    run: LocalRun, open_session: Callable[[str], OAuthSession], observer: Observer
) -> Iterator[EndpointResult]:
    """Pulls the endpoints in turn and yields the result of each.

    An endpoint that fails ends no other, as in the DAG, but those that repeat over it. Output that was committed stays.
    """
    parents: dict[str, list[ParentFile]] = {}
    for name in run.endpoints:
        lacking = [one for one in parent_names(run.spec.endpoints[name]) if one not in parents]
        if lacking:
            yield EndpointResult(name, failure=f"Not pulled, because {lacking[0]} was not.")
            continue
        try:
            summaries = _pull_endpoint(run, name, parents, open_session, observer)
        except OAuthTaskflowError as error:
            yield EndpointResult(name, failure=str(error))
            continue
        parents[name] = [
            ParentFile(
                file=file.path,
                rows=file.rows,
                conn_id=s.conn_id,
                kind=s.destination,
                selector=file.selector,
            )
            for s in summaries
            for file in s.files
        ]
        yield EndpointResult(name, summaries)


def _pull_endpoint(
    run: LocalRun,
    name: str,
    parents: Mapping[str, Sequence[ParentFile]],
    open_session: Callable[[str], OAuthSession],
    observer: Observer,
) -> list[EndpointSummary]:
    endpoint = run.complete_endpoint(name)
    options = for_each_options(endpoint)
    items: Sequence[Mapping[str, Slice]] = build_mapped_items(options, parents) if options else [{}]
    if options:
        _set_back_stale(run, name, endpoint, len(items))
    summaries = []
    count = sum(count_sequences(endpoint, item, run.interval) for item in items)
    with open_session(endpoint.connection or run.spec.source.connection or "") as session:
        for number, item in enumerate(items):
            observer.begin(name, item_label(item) if item else "", count)
            map_index = number if options else -1
            task = build_task(run, name, endpoint, item, map_index)
            summaries.append(run_endpoint(task, session, on_page=observer.page))
    if (location := run.locate(name)) is not None:
        # An earlier pull into the same folder may have had more batches, or more values in its list.
        destination = destination_options(endpoint).connect(location, store_access())
        destination.remove_stale({s.map_index: s.manifest for s in summaries})
    return summaries


def _set_back_stale(run: LocalRun, name: str, endpoint: Endpoint, count: int) -> None:
    """Lets the partitions of outputs beyond ``count`` be read again: an earlier pull into the folder had more of them."""
    location, watermarks = run.locate(name), run.open_watermarks(name)
    if location is None or watermarks is None or not watermarks.moves:
        return
    destination = destination_options(endpoint).connect(location, store_access())
    number = count
    while watermarks.drop_output(
        describe_place(endpoint, destination, Run(name, run.run_id, map_index=number))
    ):
        number += 1


def build_task(
    run: LocalRun, name: str, endpoint: Endpoint, item: Mapping[str, Slice], map_index: int
) -> EndpointRun:
    """Returns the work of one task instance of an endpoint: ``item`` is its mapped item, -1 the index without mapping."""
    return EndpointRun(
        name=name,
        endpoint=endpoint,
        run_id=run.run_id,
        template_context=run.template_context(name, map_index),
        interval=run.interval,
        access=store_access(),
        item=item,
        map_index=map_index,
        location=run.locate(name),
        given=run.given,
        watermarks=run.open_watermarks(name),
        hash_key=hash_key() if endpoint.fields and endpoint.fields.hashed else None,
        find_last_run=_build_finder(run, name, endpoint),
    )


def _build_finder(run: LocalRun, name: str, endpoint: Endpoint) -> LastRunFinder:
    """Returns the look-up of the pull before, in the manifest that this one replaces."""
    location = run.locate(name)
    if location is None:
        return find_no_run
    destination = destination_options(endpoint).connect(location, store_access())
    return partial(find_in_manifest, destination, Run(name, run.run_id))
