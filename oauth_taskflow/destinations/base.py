"""Destinations: where records go. A run's records appear whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from oauth_taskflow.api.pull.dedupe import Deduplicator
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.errors import InvalidRecord


@dataclass(frozen=True)
class Run:
    """Whose output it is; ``labels`` are further facts for the manifest."""

    endpoint: str
    run_id: str = ""
    labels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What one transfer read. ``received_bytes`` counts bodies; instants are ISO 8601 in UTC; ``seconds`` is wall time.

    ``warnings`` are doubts about the result, for people.
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


@dataclass(frozen=True)
class Output:
    """What was committed: the names of the files (or tables), their size in bytes, and the summary."""

    location: str
    files: tuple[str, ...]
    bytes: int
    summary: Summary


class Writer(Protocol):
    """Takes the records of one run. Nothing shows at the destination before ``commit``."""

    def write(self, records: Sequence[Any]) -> None:
        """Take a page's records, ``msgspec.Raw`` or Python values."""

    def commit(self, summary: Summary) -> Output:
        """Put everything in place, replacing what an earlier try of the same run left."""

    def abort(self) -> None:
        """Forget everything."""


class Destination(Protocol):
    """Where the records of an endpoint go."""

    def open(self, run: Run) -> Writer:
        """A writer for one run; leftovers of killed writers of the same run are removed.

        Raises:
            DestinationError: it cannot be written.
        """


def utc_text(seconds: float) -> str:
    """Seconds since the epoch as an ISO 8601 instant in UTC, to the millisecond."""
    instant = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _on(page: Page) -> Iterator[None]:
    """Errors about records of ``page`` name its address."""
    try:
        yield
    except InvalidRecord as error:
        error.where = error.where or f"at {page.url}"
        raise


def _unseen(keys: Deduplicator, page: Page) -> list[Any]:
    return keys.drop_seen(page.records, index=page.index, where=f"at {page.url}")


def transfer(
    pages: Iterable[Page],
    destination: Destination,
    run: Run,
    *,
    keys: Deduplicator | None = None,
    watermark: Watermark | None = None,
    on_page: Callable[[Page], None] | None = None,
    warnings: Callable[[], Sequence[str]] = tuple,
) -> Output:
    """Write all ``pages`` to ``destination`` and commit, or leave no trace.

    ``keys`` drops repeated records, ``watermark`` takes in the incremental field of all of them; ``on_page`` is
    called once a page is written, and ``warnings`` when all are: it returns the doubts about them.

    Raises:
        ApiError: as the pages or the destination raise.
    """
    began = time.time()
    rows = count = received = 0
    writer = destination.open(run)
    try:
        for page in pages:
            with _on(page):
                if watermark is not None:
                    watermark.update(page.records)
                records = page.records if keys is None else _unseen(keys, page)
            writer.write(records)
            rows, count, received = rows + len(records), count + 1, received + page.bytes
            if on_page is not None:
                on_page(page)
        ended = time.time()
        return writer.commit(
            Summary(
                rows=rows,
                pages=count,
                received_bytes=received,
                dropped=keys.dropped if keys else 0,
                watermark=watermark.value if watermark else None,
                started=utc_text(began),
                finished=utc_text(ended),
                seconds=round(ended - began, 3),
                warnings=tuple(warnings()),
            )
        )
    except BaseException:
        writer.abort()
        raise
    finally:
        close = getattr(pages, "close", None)
        if close is not None:
            close()
