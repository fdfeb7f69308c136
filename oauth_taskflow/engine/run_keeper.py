"""Keeps the progress of a run, and goes on with it in the next attempt of the same run.

Progress is written with the records: every few seconds, and when the pull is cut off. It ends before a page, so the
page in flight is asked for again and no other. An attempt goes on only when spec, request, interval and parents are the
same; a sequence whose page cursor has died starts over by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from oauth_taskflow.api.pull.marks import Marks, PageMark, PartsMark, SequenceState
from oauth_taskflow.api.pull.page_warnings import PageWarnings
from oauth_taskflow.destinations.base import (
    Destination,
    Progress,
    ResumableDestination,
    ResumableWriter,
    Run,
    Writer,
)
from oauth_taskflow.destinations.transfer import (
    Counts,
    KeptRecords,
    PlanningStage,
    ResumableStage,
    Stage,
)
from oauth_taskflow.engine.progress import (
    STATE_VERSION,
    Boundary,
    RunState,
    decode_state,
    define,
    encode_state,
)
from oauth_taskflow.engine.resume import (
    ABOUT_PAGES,
    NOTHING,
    PAGES,
    PullSuspended,
    ResumeOptions,
    StartOver,
    compares_values,
    find_wait,
    has_plain_pages,
    starting_over,
    suspend,
)
from oauth_taskflow.engine.warning_list import WarningList
from oauth_taskflow.errors import DestinationError, OAuthTaskflowError
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.waits import collected_waits, set_earlier_waits

if TYPE_CHECKING:
    from oauth_taskflow.engine.run import EndpointRun

_log = logging.getLogger(__name__)
# Progress that is older, counted from the end of its wait, is about other data.
_VALID_SECONDS = 86_400.0


class RunKeeper:
    """Keeps the progress of one run; see ``destinations.transfer.Keeper``. The consumer's thread alone uses it."""

    def __init__(
        self,
        options: ResumeOptions,
        definition: bytes,
        endpoint: Endpoint,
        stages: Sequence[Stage],
        depth: int = PAGES,
    ) -> None:
        self._options = options
        self._definition = definition
        self._keeps_pages = has_plain_pages(endpoint)
        self._depth = depth
        self._stages = cast("Sequence[ResumableStage]", stages)
        self._figures = PageWarnings(endpoint.paginate)
        self._warnings = WarningList()
        self._restore: Callable[[], None] = _do_nothing
        self._began = options.clock.monotonic()
        self._writer: ResumableWriter | None = None
        self._every = 0.0
        self.suspension: PullSuspended | None = None
        self._reset()

    def _reset(self, state: RunState | None = None, *, in_sequence: bool = False) -> None:
        self._earlier = state
        if state is None:
            figures = self._figures.figures
            self._now = self._start = Boundary(stages=self._save_stages(), figures=figures)
        else:
            self._start, self._now = state.start, state.now if in_sequence else state.start
        self._page = state.page if state is not None and in_sequence else None
        self._marks = Marks(self._page)
        self._pending: PageMark | PartsMark | None = None
        self._marked = self._now
        self._is_first, self._skipped = True, (0, b"")
        self._restore = _do_nothing
        self._has_kept = self._is_vetoed = False
        self._kept_at = self._options.clock.monotonic()
        self._counts = Counts()

    def _save_stages(self) -> list[object]:
        return [stage.save() for stage in self._stages]

    @property
    def attempts(self) -> int:
        """The number of attempts before this one whose records it goes on with."""
        return self._earlier.attempts if self._earlier else 0

    @property
    def skip(self) -> int:
        """The number of request sequences that earlier attempts read to their end."""
        return self._now.sequence

    @property
    def page(self) -> SequenceState | None:
        """The state from which the first sequence goes on; None when it begins with its first page."""
        return self._page

    def attach(self, figures: PageWarnings, warnings: WarningList) -> None:
        """Names the parts of the reader whose state is kept too."""
        self._figures, self._warnings = figures, warnings

    # The transfer asks these.

    def open(self, destination: Destination, run: Run) -> tuple[Writer, Counts]:
        """Opens the writer after the records of the attempts before, and restores the stages."""
        assert isinstance(destination, ResumableDestination)
        every = self._options.keep_every
        self._every = destination.keep_every if every is None else every
        self._reset()
        self._writer = self._resume(destination, run) if self._depth > NOTHING else None
        if self._writer is None:
            self._reset()
            self._writer = cast("ResumableWriter", destination.open(run))
        state = self._earlier
        set_earlier_waits(state.waits if state else {})
        times = (state.began, state.seconds) if state else (0.0, 0.0)
        self._counts = self._now.counts(*times)
        return self._writer, self._counts

    def _resume(self, destination: ResumableDestination, run: Run) -> ResumableWriter | None:
        progress = destination.find_progress(run)
        state = self._read_state(progress)
        if progress is None or state is None:
            return None
        self._reset(state, in_sequence=self._depth == PAGES or state.page is None)
        wanted = replace(progress, rejected=self._now.rejected)
        writer = destination.resume(run, wanted, self._now.rows)
        if writer is None:
            return None
        self._prepare_restore(destination, run, progress)
        try:
            self._plan()
            if self._page is None:  # else once its sequence has begun, which changes the stages
                self._restore_stages()
        except BaseException:
            writer.suspend()
            raise
        _log.info(
            "%s: goes on after %s pages and %s rows that an attempt read before it was cut off",
            *(run.endpoint, f"{self._now.pages:,}", f"{self._now.rows:,}"),
        )
        return writer

    def _read_state(self, progress: Progress | None) -> RunState | None:
        if progress is None:
            return None
        state = decode_state(progress.state, self._definition, self._options.seal)
        if state is None or state.expires < self._options.clock.now():
            return None
        ends = (state.now, state.start)
        is_whole = all(
            end.rows <= progress.rows and end.rejected <= progress.rejected for end in ends
        )
        stages = {len(state.now.stages), len(state.start.stages)}
        return state if is_whole and stages == {len(self._stages)} else None

    def _prepare_restore(
        self, destination: ResumableDestination, run: Run, progress: Progress
    ) -> None:
        assert self._earlier is not None
        now = self._now
        self._figures.figures = now.figures
        for text in self._earlier.warnings[: now.warnings]:
            self._warnings(text)
        kept = KeptRecords(
            lambda skip, take: destination.read_kept(run, progress, skip, take),
            now.rows,
            now.parent_rows,
            self._start.rows,
        )

        def restore() -> None:
            for stage, saved in zip(self._stages, now.stages, strict=True):
                stage.restore(saved, kept)

        self._restore = restore

    def _plan(self) -> None:
        for stage, saved in zip(self._stages, self._now.stages, strict=True):
            if isinstance(stage, PlanningStage):
                with starting_over():
                    stage.plan_from(saved)

    def _restore_stages(self) -> None:
        restore, self._restore = self._restore, _do_nothing
        with starting_over():
            restore()

    def note_page(self, counts: Counts) -> None:
        """Notes that a page was written, and keeps it when it is time."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._marks.add(pending)
        self._counts = counts
        self._now = replace(
            self._now,
            rows=counts.rows,
            pages=counts.pages,
            received_bytes=counts.received_bytes,
            rejected=counts.rejected,
            stages=self._save_stages(),
            figures=self._figures.figures,
            warnings=len(self._warnings.texts()),
        )
        if pending is not None:
            self._marked = self._now
        if self._options.clock.monotonic() - self._kept_at >= self._every:
            self._keep()

    def note_end(self) -> None:
        """Keeps everything before the commit, which may fail, when the pull took longer than a moment.

        Raises:
            StartOver: the parent records are not those of the earlier attempt.
        """
        if self._is_first and self._earlier is not None:
            self._compare_parents(self._skipped)
        clock = self._options.clock
        if self._earlier is not None or clock.monotonic() - self._began >= self._every:
            self._keep()

    def veto(self) -> None:
        """Makes the next attempt start over: other records may be accepted."""
        self._is_vetoed = True

    def cut(self, error: BaseException) -> bool:
        """Keeps what was read before ``error``, where that helps the next attempt."""
        writer = self._writer
        assert writer is not None
        if isinstance(error, StartOver):
            writer.suspend()
            return True
        wait = find_wait(error, self._options.longest_wait)
        has_kept = self._has_kept or self._earlier is not None
        if has_kept or (not self._is_vetoed and (self._now.pages or self._now.sequence or wait)):
            self._keep_at_cut(error, wait)
        if self._is_vetoed or not (has_kept or self._has_kept):
            return False
        writer.suspend()
        return True

    def _keep_at_cut(self, error: BaseException, wait: float | None) -> None:
        try:
            idle = self._keep(error, wait)
        except DestinationError as failure:
            _log.info("The last pages are not kept for another attempt: %s", failure)
            return
        if wait is not None and idle <= self._options.most_idle:
            self.suspension = suspend(error, wait)

    # The reader asks these.

    def note_skipped(self, parent: int, parents: bytes) -> None:
        """Notes a sequence that is skipped, with its parent's number and the digest of all parents up to it."""
        self._skipped = parent, parents

    def begin_sequence(self, parent: int, parents: bytes) -> bool:
        """Notes that a sequence has begun for the stages; returns False when it goes on after some of its pages.

        Raises:
            StartOver: the parent records are not those of the earlier attempt.
        """
        is_first, self._is_first = self._is_first, False
        if is_first and self._earlier is not None:
            self._compare_parents(self._skipped, (parent, parents))
        if is_first and self._page is not None:
            self._restore_stages()
            return False
        now = self._now
        parent_rows = now.parent_rows if now.parent == parent else now.rows
        self._start = replace(now, parent=parent, parents=parents, parent_rows=parent_rows)
        self._now = self._marked = self._start
        self._marks, self._pending = Marks(), None
        return True

    def _compare_parents(self, *known: tuple[int, bytes]) -> None:
        now = self._now
        # Before its first sequence, a run knows no parents.
        if (now.parent, now.parents) not in {*known, (0, b"")}:
            raise StartOver

    def note_mark(self, mark: PageMark | PartsMark | None) -> None:
        """Notes the state after a page that is about to be written."""
        self._pending = mark

    def end_sequence(self) -> None:
        """Notes that the current sequence has ended, with its pages written."""
        self._start = self._now = replace(
            self._now,
            sequence=self._now.sequence + 1,
            figures=self._figures.figures,
            warnings=len(self._warnings.texts()),
        )
        self._marked = self._now
        self._page, self._marks = None, Marks()

    # The state.

    def _keep(self, error: BaseException | None = None, wait: float | None = None) -> int:
        """Writes the progress; returns how many waits in a row, this one included, came without a page in between."""
        assert self._writer is not None
        clock = self._options.clock
        page, now = self._marks.state() if self._keeps_pages else None, self._marked
        if page is None or isinstance(error, ABOUT_PAGES):
            page, now = None, self._start
        earlier = self._earlier
        idle = 0 if wait is None else 1
        if earlier is not None and wait is not None and now.pages <= earlier.now.pages:
            idle += earlier.idle
        state = RunState(
            version=STATE_VERSION,
            definition=b"" if self._is_vetoed else self._definition,
            start=self._start,
            now=now,
            page=page,
            request=b"",
            is_sealed=False,
            warnings=self._warnings.texts(),
            idle=0 if idle > self._options.most_idle else idle,
            attempts=self.attempts + 1,
            began=self._counts.began or clock.now(),
            seconds=self._counts.seconds + clock.monotonic() - self._began,
            expires=clock.now() + (wait or 0.0) + _VALID_SECONDS,
            waits=collected_waits(),
        )
        self._writer.keep(encode_state(state, self._options.seal))
        self._kept_at, self._has_kept = clock.monotonic(), True
        return idle


def _do_nothing() -> None:
    """Nothing is left to be restored."""


@contextmanager
def suspending(keeper: RunKeeper | None) -> Iterator[None]:
    """Raises ``PullSuspended`` in place of an error that asks for a long wait, once what was read is kept."""
    try:
        yield
    except OAuthTaskflowError:
        if keeper is not None and keeper.suspension is not None:
            raise keeper.suspension from None
        raise


def build_keeper(
    run: EndpointRun,
    base_url: str,
    destination: Destination,
    stages: Sequence[Stage],
    depth: int = PAGES,
) -> RunKeeper | None:
    """Returns the keeper of a run; None where it cannot be resumed: by its spec, its destination or one of its stages.

    ``depth`` says how much of earlier progress it uses.
    """
    options, endpoint = run.resume, run.endpoint
    if options is None or not endpoint.resume:
        return None
    if not isinstance(destination, ResumableDestination) or not destination.is_resumable:
        return None
    if not all(isinstance(stage, ResumableStage) for stage in stages):
        return None
    if compares_values(destination, stages):
        return None
    return RunKeeper(options, define(run, base_url), endpoint, stages, depth)
