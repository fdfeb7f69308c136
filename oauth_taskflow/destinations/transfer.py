"""The way of pages into a destination: each page passes the stages, then the writer takes its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import Destination, Output, RejectingWriter, Run, Writer
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.errors import InvalidRecord, TokenStoreError


class TransferSummary(Struct, frozen=True):
    """Figures of one transfer. ``received_bytes`` counts bodies; instants are ISO 8601 in UTC; ``seconds`` is wall time.

    ``rows`` counts what was written, ``dropped`` the repeated records that were not. ``filtered`` counts the records that
    ``where`` left out, ``outside`` those outside the window; each is absent unless the spec asks for it. ``warnings`` are
    for people. ``schema`` is the JSON Schema of the records that were written, ``rejected`` counts the records that went to
    quarantine, and ``discarded`` the values by their paths. ``drift`` names what
    changed in the schema since the run before. ``watermarks`` holds the stored watermarks that the commit moves, and the token that proves it.
    """

    rows: int
    pages: int
    received_bytes: int
    dropped: int
    watermark: str | int | float | None
    started: str
    finished: str
    seconds: float
    warnings: tuple[str, ...] = ()
    filtered: int | UnsetType = UNSET
    outside: int | UnsetType = UNSET
    watermarks: dict[str, Any] | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    rejected: int | UnsetType = UNSET
    discarded: dict[str, int] | UnsetType = UNSET
    drift: list[str] | UnsetType = UNSET


@runtime_checkable
class Stage(Protocol):
    """One step between the page and the writer, for the records of one task instance."""

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Takes the records of ``page`` from the stage before, and returns those for the stage after.

        Raises:
            InvalidRecord: a record is not as the spec says; the transfer adds the address of the page.
        """

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the figures of this stage once all pages are written; an error here keeps the output uncommitted."""


class Counts(Struct, frozen=True):
    """The figures of a transfer so far. ``began`` is in seconds since the epoch, ``seconds`` the time of earlier attempts."""

    rows: int = 0
    pages: int = 0
    received_bytes: int = 0
    began: float = 0.0
    seconds: float = 0.0
    rejected: int = 0


class Keeper(Protocol):
    """Keeps a transfer's records, so that the next attempt goes on where this one is cut off."""

    def open(self, destination: Destination, run: Run) -> tuple[Writer, Counts]:
        """Opens the writer, with the records of earlier attempts and their figures."""

    def note_page(self, counts: Counts) -> None:
        """Notes that a page was written, the last one of ``counts``."""

    def note_end(self) -> None:
        """Notes that all pages were written, before the stages finish."""

    def veto(self) -> None:
        """Notes that a stage refused the whole output: the next attempt starts over."""

    def cut(self, error: BaseException) -> bool:
        """Ends the writer after ``error`` with its records kept; returns False, and leaves it open, when none are."""


class KeptRecords(NamedTuple):
    """The records that an earlier attempt kept: ``rows`` of them, and how many came before the current parent and sequence.

    ``read(skip, take)`` yields them as they were written.
    """

    read: Callable[[int, int], Iterator[Any]]
    rows: int
    parent_rows: int
    sequence_rows: int


@runtime_checkable
class ResumableStage(Protocol):
    """The further methods of a stage that another attempt can go on with; a stage without state returns None.

    An endpoint with a stage that lacks them starts over when it is cut off.
    """

    def save(self) -> Any:
        """Returns the state after the pages so far as plain data (JSON), small: it is asked for after each page."""

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes a saved state, and finds what would be too large for it in the records that were kept."""


@runtime_checkable
class ComparingStage(Protocol):
    """A resumable stage that may compare whole records with those that another attempt kept."""

    @property
    def compares_records(self) -> bool:
        """Whether it does: then it needs kept records as they were written, and not their values alone."""


@runtime_checkable
class PlanningStage(Protocol):
    """A resumable stage that also decides what is asked for, so it must know its state before the first request."""

    def plan_from(self, state: Any) -> None:
        """Takes a saved state; ``restore`` follows once the first sequence has begun.

        Raises:
            ValueError: it is damaged.
        """


def utc_text(seconds: float) -> str:
    """Returns seconds since the epoch as an ISO 8601 instant in UTC, to the millisecond."""
    instant = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def transfer(
    pages: Iterable[Page],
    destination: Destination,
    run: Run,
    *,
    stages: Sequence[Stage] = (),
    on_page: Callable[[Page], None] | None = None,
    warnings: Callable[[], Sequence[str]] = tuple,
    keeper: Keeper | None = None,
    quarantine: Quarantine | None = None,
) -> Output:
    """Writes all ``pages`` to ``destination`` and commits, or leaves no trace, or what ``keeper`` keeps.

    The records of each page pass ``stages`` in their order. ``on_page`` is called once a page is written, ``warnings``
    once all are. ``pages`` are asked for once the writer is open. Records that stages put into ``quarantine`` go to the writer
    too, which is a ``RejectingWriter`` then.

    Raises:
        ApiError: as the pages, the stages or the destination raise.
    """
    writer, counts = (
        (destination.open(run), Counts()) if keeper is None else keeper.open(destination, run)
    )
    try:
        summary = _write_pages(
            pages, _PageSink(writer, stages, on_page, keeper, quarantine), counts
        )
        summary = _finish(summary, stages, warnings, keeper)
        return writer.commit(summary)
    except BaseException as error:
        if keeper is None or not keeper.cut(error):
            writer.abort()
        raise
    finally:
        close = getattr(pages, "close", None)
        if close is not None:
            close()


class _PageSink(NamedTuple):
    writer: Writer
    stages: Sequence[Stage]
    on_page: Callable[[Page], None] | None
    keeper: Keeper | None
    quarantine: Quarantine | None


def _write_pages(pages: Iterable[Page], sink: _PageSink, counts: Counts) -> TransferSummary:
    began = time.time()
    started = counts.began or began
    rows, count, received = counts.rows, counts.pages, counts.received_bytes
    writer, stages, on_page, keeper, quarantine = sink
    if quarantine is not None:
        quarantine.restore(counts.rejected)
    rejected = counts.rejected
    for page in pages:
        records = _process(page, stages)
        if quarantine is not None and (found := quarantine.take()):
            assert isinstance(writer, RejectingWriter)  # see engine.outputs
            writer.reject(found)
            rejected += len(found)
        writer.write(records)
        rows, count, received = rows + len(records), count + 1, received + page.bytes
        if keeper is not None:
            keeper.note_page(Counts(rows, count, received, started, counts.seconds, rejected))
        if on_page is not None:
            on_page(page)
    ended = time.time()
    return TransferSummary(
        rows=rows,
        pages=count,
        received_bytes=received,
        dropped=0,
        watermark=None,
        started=utc_text(started),
        finished=utc_text(ended),
        seconds=round(counts.seconds + ended - began, 3),
        rejected=rejected or UNSET,
    )


def _process(page: Page, stages: Sequence[Stage]) -> list[Any]:
    records = page.records
    try:
        for stage in stages:
            records = stage.process(records, page)
    except InvalidRecord as error:
        error.where = error.where or f"at {page.url}"
        raise
    return records


def _finish(
    summary: TransferSummary,
    stages: Sequence[Stage],
    warnings: Callable[[], Sequence[str]],
    keeper: Keeper | None,
) -> TransferSummary:
    if keeper is not None:
        keeper.note_end()
    try:
        for stage in stages:
            summary = stage.finish(summary)
    except Exception as error:
        # A database that is away says nothing about the records.
        if keeper is not None and not isinstance(error, TokenStoreError):
            keeper.veto()
        raise
    return msgspec.structs.replace(summary, warnings=(*summary.warnings, *warnings()))
