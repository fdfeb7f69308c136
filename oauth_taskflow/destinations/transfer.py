"""The way of pages into a destination: each page passes the stages, then the writer takes its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import Destination, Output, Run, Writer
from oauth_taskflow.errors import InvalidRecord


class TransferSummary(Struct, frozen=True):
    """Figures of one transfer. ``received_bytes`` counts bodies; instants are ISO 8601 in UTC; ``seconds`` is wall time.

    ``rows`` counts what was written, ``dropped`` the repeated records that were not, and ``filtered`` those that ``where``
    left out (absent without ``where``), ``outside`` those outside the window (absent unless the spec leaves them out);
    ``warnings`` are for people.
    ``watermarks`` holds the stored watermarks that the commit moves, and the token that proves it.
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
) -> Output:
    """Writes all ``pages`` to ``destination`` and commits, or leaves no trace.

    The records of each page pass ``stages`` in their order. ``on_page`` is called once a page is written, ``warnings``
    once all are.

    Raises:
        ApiError: as the pages, the stages or the destination raise.
    """
    writer = destination.open(run)
    try:
        summary = _write_pages(pages, writer, stages, on_page)
        summary = _finish(summary, stages, warnings)
        return writer.commit(summary)
    except BaseException:
        writer.abort()
        raise
    finally:
        close = getattr(pages, "close", None)
        if close is not None:
            close()


def _write_pages(
    pages: Iterable[Page],
    writer: Writer,
    stages: Sequence[Stage],
    on_page: Callable[[Page], None] | None,
) -> TransferSummary:
    began = time.time()
    rows = count = received = 0
    for page in pages:
        records = _process(page, stages)
        writer.write(records)
        rows, count, received = rows + len(records), count + 1, received + page.bytes
        if on_page is not None:
            on_page(page)
    ended = time.time()
    return TransferSummary(
        rows=rows,
        pages=count,
        received_bytes=received,
        dropped=0,
        watermark=None,
        started=utc_text(began),
        finished=utc_text(ended),
        seconds=round(ended - began, 3),
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
    summary: TransferSummary, stages: Sequence[Stage], warnings: Callable[[], Sequence[str]]
) -> TransferSummary:
    for stage in stages:
        summary = stage.finish(summary)
    return msgspec.structs.replace(summary, warnings=(*summary.warnings, *warnings()))
