"""One run of one endpoint: every parent record, every window, every page, one committed output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as replace_struct

from oauth_taskflow.api.pull.in_flight.places import Lane, Places
from oauth_taskflow.api.pull.in_flight.prefetch import read_several_ahead
from oauth_taskflow.api.pull.keys.moved_rows import Mark, check_moved_rows
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_warnings import PageEnds, PageWarnings
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.contracts.last_run import LastRunFinder, find_no_run
from oauth_taskflow.destinations.base import Destination, Run, StoreAccess, find_kept_form
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.transfer import Stage, transfer
from oauth_taskflow.engine.budgets import pull_within_budgets
from oauth_taskflow.engine.capped import read_past_cap, write_bounds
from oauth_taskflow.engine.copied_fields import FieldCopier
from oauth_taskflow.engine.fields_stage import check_reshaped
from oauth_taskflow.engine.finished_sequences import Beginning, FinishedSequences
from oauth_taskflow.engine.first_run import select_endpoint
from oauth_taskflow.engine.for_each import MappedItem, count_contexts, template_contexts
from oauth_taskflow.engine.hidden_values import hide_values
from oauth_taskflow.engine.lost_parents import explain_lost_parent
from oauth_taskflow.engine.moved_rows import CountsKeys
from oauth_taskflow.engine.outputs import build_quarantine, connect_output
from oauth_taskflow.engine.position import Position
from oauth_taskflow.engine.positions import Positions, open_positions
from oauth_taskflow.engine.request_places import endpoint_places, sequences_at_once
from oauth_taskflow.engine.resume import (
    NOTHING,
    PAGES,
    SEQUENCES,
    ResumeOptions,
    StartOver,
    limit_waits,
    watch_first_page,
)
from oauth_taskflow.engine.run_keeper import RunKeeper, build_keeper, suspending
from oauth_taskflow.engine.run_summary import summarize_run
from oauth_taskflow.engine.sequence_view import OnSequence, SequenceView
from oauth_taskflow.engine.stages import (
    StageOptions,
    begin_sequence,
    begin_window,
    build_stages,
)
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.engine.warning_list import WarningList
from oauth_taskflow.engine.window_filter import find_page_end
from oauth_taskflow.engine.windows import run_windows
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Interval, Window
from oauth_taskflow.waits import Waits

if TYPE_CHECKING:
    from oauth_taskflow.watermarks.run_watermarks import RunWatermarks


@dataclass(frozen=True)
class EndpointRun:
    """The work of one task instance.

    Args:
        name: the endpoint's name.
        endpoint: the endpoint with its defaults merged in.
        run_id: names the run; a second run of the same id replaces the output of the first.
        template_context: the names in templates besides ``window`` and those of ``for_each``.
        interval: the time span that an incremental endpoint reads.
        access: the ways to destinations and to parent records.
        item: this instance's mapped item of ``for_each``; empty for an endpoint without.
        map_index: number of the mapped instance, -1 when it is not mapped.
        location: where to write instead of the place that the spec names; only for an endpoint with one destination.
        given: names of the params whose values came with the run, not from the spec.
        hash_key: key of ``fields.hash``; secret.
        watermarks: the stored watermarks, for a run that begins at them.
        resume: how progress is kept for the next attempt of the same run; None keeps none.
        find_last_run: looks up the run before, for checks and drift.
        further_stages: stages after those of the spec.
    """

    name: str
    endpoint: Endpoint
    run_id: str
    template_context: Mapping[str, Any]
    interval: Interval
    access: StoreAccess
    item: MappedItem = field(default_factory=dict)
    map_index: int = -1
    location: str | None = None
    given: Collection[str] = ()
    hash_key: str | None = field(default=None, repr=False)
    watermarks: RunWatermarks | None = None
    resume: ResumeOptions | None = None
    find_last_run: LastRunFinder = find_no_run
    further_stages: Sequence[Stage] = ()


@hide_values
def run_endpoint(
    run: EndpointRun,
    session: OAuthSession,
    *,
    on_page: Callable[[Page], None] | None = None,
    on_sequence: OnSequence | None = None,
) -> EndpointSummary:
    """Pulls ``run``'s records through ``session``, commits them and returns the figures.

    Nothing shows at the destination unless everything was read and written. ``on_sequence`` is called before the first
    page of each request sequence; ``on_page`` once a page is written.

    With ``run.resume``, an attempt that is cut off keeps what was written, and the next one goes on there.

    Raises:
        ApiError: a request, its answer or the destination failed.
        PullSuspended: the API asks for a long wait, and what was read is kept.
        TokenRequestError: the token request failed.
        TemplateFailed: a template names something undefined or gives null.
    """
    # By stored watermarks, each partition has another first run.
    endpoint = (
        select_endpoint(run.endpoint, run.interval) if run.watermarks is None else run.endpoint
    )
    labels = {} if endpoint is run.endpoint else {"first_run": True}
    run = replace(run, endpoint=endpoint)
    destination = connect_output(run)
    dag_id = str(run.template_context.get("dag_id", ""))
    this = Run(run.name, run.run_id, labels, run.map_index, dag_id)
    keeper: RunKeeper | None = None
    waits = Waits()
    for depth in (PAGES, SEQUENCES, NOTHING):
        positions = open_positions(run.endpoint, run.interval, run.watermarks, destination, this)
        quarantine = build_quarantine(run)
        stages = _build_stages(run, positions, quarantine, destination)
        keeper = build_keeper(run, session.base_url, destination, stages, depth)
        limit_waits(session, run.resume if keeper is not None else None)
        reader = _Reader(run, session, stages, on_sequence, positions, keeper=keeper)
        with suppress(StartOver), suspending(keeper), waits:
            output = transfer(
                reader.pages(),
                destination,
                this,
                stages=stages,
                on_page=on_page,
                warnings=reader.warnings,
                keeper=keeper,
                quarantine=quarantine,
            )
            break
    summary = summarize_run(run, output, destination.describe(output), reader.sequences, waits)
    resumed = 0 if keeper is None else keeper.attempts
    return replace_struct(summary, resumed=resumed, ends=reader.ends)


def _build_stages(
    run: EndpointRun,
    positions: Positions | None,
    quarantine: Quarantine | None,
    destination: Destination,
) -> list[Stage]:
    options = StageOptions(
        run.endpoint,
        any(part.file is not None for part in run.item.values()),
        run.template_context,
        run.hash_key,
        positions,
        run.find_last_run,
        run.map_index < 0,
        quarantine,
        find_kept_form(destination) if run.resume and run.endpoint.resume else "bytes",
    )
    return [*build_stages(options), *run.further_stages]


def count_sequences(endpoint: Endpoint, item: MappedItem, interval: Interval) -> int:
    """Returns how many request sequences a task for ``item`` reads: its parent records times its windows.

    In watermark mode each counts once.
    """
    if endpoint.incremental is not None and endpoint.incremental.keeps_watermark:
        return count_contexts(item)  # where each begins is not known yet
    chosen = select_endpoint(endpoint, interval)
    return count_contexts(item) * sum(1 for _ in run_windows(chosen, interval))


class _Reader:
    """Reads the pages of all request sequences of a run."""

    def __init__(
        self,
        run: EndpointRun,
        session: OAuthSession,
        stages: Sequence[Stage],
        on_sequence: OnSequence | None = None,
        positions: Positions | None = None,
        *,
        keeper: RunKeeper | None = None,
    ) -> None:
        self._run = run
        self._is_whole = run.map_index < 0
        self._positions = positions
        self._session = session
        self._stages = stages
        self._on_sequence = on_sequence
        self._copier = FieldCopier(run.endpoint)
        self._seen = [stage.seen for stage in stages if isinstance(stage, CountsKeys)]
        endpoint = run.endpoint
        paginate, params = endpoint.paginate, endpoint.request.params
        params = params if paginate is None else paginate.other_params(params)
        self._page_warnings = PageWarnings(paginate, _record_options(endpoint).path, params)
        self._warnings = WarningList()
        self._keeper = keeper
        if keeper is not None:
            keeper.attach(self._page_warnings, self._warnings)

    @property
    def sequences(self) -> int:
        """The number of request sequences that were begun."""
        return self._page_warnings.figures.sequences

    def warnings(self) -> list[str]:
        """Returns the warnings about the pages, for people."""
        pages = self._page_warnings
        found = pages.warnings() if self._is_whole else pages.find_missed_records()
        return [*found, *self._warnings.texts()]

    @property
    def ends(self) -> PageEnds | None:
        """Where the sequences ended, for a judgement about all mapped instances; None where this task reads them all."""
        return None if self._is_whole else self._page_warnings.ends()

    def pages(self) -> Iterator[Page]:
        """Yields every page in the order of parents, windows and pages, however many sequences are read at once."""
        places = endpoint_places(self._run.endpoint)
        sequences = self._sequences(places)
        if places is None:
            with closing(sequences):
                yield from self._read(sequences)
            return
        width = sequences_at_once(self._run.endpoint, places)
        # Closed in this order when reading ends early: what waits for a place must not hold up the threads' end.
        with closing(read_several_ahead(sequences, width)) as running, closing(places):
            yield from self._read(running)
        places.log_outcome()

    def _read(self, sequences: Iterator[tuple[_Sequence, Iterable[Page]]]) -> Iterator[Page]:
        for sequence, pages in sequences:
            self._begin(sequence)
            yield from self._watch(pages, sequence)

    def _begin(self, sequence: _Sequence) -> None:
        begin_sequence(self._stages, sequence.parent, sequence.names)
        begin_window(self._stages, sequence.window)
        if self._keeper is None or self._keeper.begin_sequence(
            sequence.parent, sequence.begin.parents
        ):
            self._page_warnings.begin_sequence()
        if sequence.lane is not None:
            sequence.lane.may_guess = True
        if self._on_sequence is not None:
            number, parent = sequence.begin.number, sequence.parent if self._run.item else None
            self._on_sequence(SequenceView(number, sequence.window, parent))

    def _sequences(
        self, places: Places | None
    ) -> Generator[tuple[_Sequence, Iterator[Page]], None, None]:
        finished = FinishedSequences(self._keeper)
        for parent, (names, position) in enumerate(self._contexts()):
            finished.begin_parent(parent, names)
            copied = self._copier.read(names)
            for window in self._windows(position):
                if finished.skips():
                    continue
                visible = names if window is None else {**names, "window": write_bounds(window)}
                lane = Lane(places, may_guess=False) if places is not None else None
                begin = finished.begin()
                sequence = _Sequence(parent, copied, window, visible, lane, position, begin)
                yield sequence, self._pages_of(sequence)

    def _contexts(self) -> Iterator[tuple[dict[str, Any], Position | None]]:
        contexts = template_contexts(self._run.item, self._run.access)
        if self._positions is None:
            return ((names, None) for names in contexts)
        return self._positions.attach(contexts, self._run.template_context)

    def _windows(self, position: Position | None) -> Iterator[Window | None]:
        if self._positions is None or position is None:
            return run_windows(self._run.endpoint, self._run.interval)
        return self._positions.windows(position)

    def _pages_of(self, sequence: _Sequence) -> Iterator[Page]:
        pull_from = partial(self._pull, sequence)
        if self._positions is not None and sequence.position is not None:
            names, warn = sequence.names, self._warnings
            goes_on = sequence.begin.page is not None
            return self._positions.pages(sequence.position, names, pull_from, warn, goes_on=goes_on)
        incremental = self._run.endpoint.incremental
        if incremental is not None and incremental.keeps_watermark:
            return pull_from({**sequence.names, "watermark": {}})  # a run in interval mode has none
        return pull_from(sequence.names)

    def _pull(
        self,
        sequence: _Sequence,
        names: Mapping[str, Any],
        *,
        responses: Sequence[ResponseRule] = (),
    ) -> Generator[Page, None, None]:
        endpoint = self._endpoint_of(sequence)
        context = {**self._run.template_context, **names}
        find_end = find_page_end(endpoint.incremental, sequence.window)
        read = partial(
            pull_within_budgets,
            self._session,
            self._run.name,
            endpoint,
            context,
            paginate=endpoint.paginate,
            records=_record_options(endpoint),
            responses=[*responses, *endpoint.responses],
            decode="exact" if self._copier.is_active else False,
            ahead=int(sequence.lane is None),
            lane=sequence.lane,
            warn=self._warnings,
            is_last=check_reshaped(find_end, endpoint.fields, context, self._run.hash_key),
            find=self._positions.cursor_path if self._positions is not None else None,
            drops_repeats=endpoint.primary_key is not None,
        )
        resume = sequence.begin.page
        pages = read_past_cap(endpoint, context, sequence.window, read, resume=resume)
        pages = watch_first_page(pages, endpoint, resume)
        return explain_lost_parent(pages) if self._run.item else pages

    def _endpoint_of(self, sequence: _Sequence) -> Endpoint:
        return self._run.endpoint if sequence.position is None else sequence.position.endpoint

    def _watch(self, pages: Iterable[Page], sequence: _Sequence) -> Iterator[Page]:
        keeper, copied = self._keeper, sequence.copied
        # An attempt may have been cut off behind the last page.
        mark: Mark = sequence.begin.page
        where = ""
        for page in pages:
            if page.index == 0 and self._page_warnings.figures.pages:
                # At a cap: another request of the same window.
                self._check_moved_rows(sequence, mark, where)
                begin_sequence(self._stages, sequence.parent, sequence.names)
            mark, where = page.mark, f"at {page.url}"
            if page.part is not None:
                begin_window(self._stages, page.part)
            self._page_warnings.add_page(page)
            if keeper is not None:
                keeper.note_mark(page.mark)
            yield replace(page, records=self._copier.add(page.records, copied)) if copied else page
        self._check_moved_rows(sequence, mark, where)
        self._page_warnings.end_sequence()
        if keeper is not None:
            keeper.end_sequence()

    def _check_moved_rows(self, sequence: _Sequence, mark: Mark, where: str) -> None:
        paginate = self._endpoint_of(sequence).paginate
        check_moved_rows(paginate, mark, self._seen, where=where, warn=self._warnings)


@dataclass(frozen=True)
class _Sequence:
    """One request sequence: the number of its parent, the fields that its records copy from it, and the window.

    ``names`` are the template names that it has besides those of the run, ``lane`` is its share of the requests in flight;
    ``position`` is where it begins in a run by stored watermarks, ``begin`` what an attempt that was cut off has left of it.
    """

    parent: int
    copied: Mapping[str, Any]
    window: Window | None
    names: Mapping[str, Any]
    lane: Lane | None
    position: Position | None
    begin: Beginning


def _record_options(endpoint: Endpoint) -> Records:
    if isinstance(endpoint.records, Records):
        return endpoint.records
    return Records(path=endpoint.records)
