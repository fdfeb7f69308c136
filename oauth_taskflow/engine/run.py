"""One run of one endpoint: every parent record, every window, every page, one committed output."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oauth_taskflow.api.decoders.json import search_value
from oauth_taskflow.api.options import Incremental, Records
from oauth_taskflow.api.pull.dedupe import Deduplicator
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.prefetch import several_ahead
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import Output, Run, transfer
from oauth_taskflow.destinations.files import MANIFEST, FolderDestination
from oauth_taskflow.engine.doubts import FirstPages, Warnings
from oauth_taskflow.engine.folders import instance_folder, run_folder
from oauth_taskflow.engine.for_each import (
    Item,
    PathOpener,
    count_scopes,
    for_each_options,
    scopes,
)
from oauth_taskflow.engine.rendering import render_request
from oauth_taskflow.engine.summary import Summary, WrittenFile
from oauth_taskflow.engine.windows import Interval, Window, run_windows
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.model import Endpoint


@dataclass(frozen=True)
class EndpointRun:
    """What one task instance is to do.

    Args:
        name: the endpoint's name.
        endpoint: the endpoint with its defaults merged in.
        run_id: names the run; a second run of the same id replaces the output of the first.
        scope: what templates see besides ``window`` and the names of ``for_each``.
        interval: the time span that an incremental endpoint reads.
        open_path: opens destination paths and the files of parents.
        item: this instance's share of ``for_each``; empty for an endpoint without.
        map_index: number of the mapped instance, -1 when it is not mapped.
        folder: where to write instead of the spec's destination path.
        given: names of the params whose values came with the run, not from the spec.
    """

    name: str
    endpoint: Endpoint
    run_id: str
    scope: Mapping[str, Any]
    interval: Interval
    open_path: PathOpener
    item: Item = field(default_factory=dict)
    map_index: int = -1
    folder: str | None = None
    given: Collection[str] = ()


def run_endpoint(
    run: EndpointRun,
    session: OAuthSession,
    *,
    on_page: Callable[[Page], None] | None = None,
    on_window: Callable[[Window | None], None] | None = None,
) -> Summary:
    """Pull ``run``'s records through ``session`` and commit them; the figures of what was done.

    Nothing shows at the destination unless everything was read and written. ``on_window`` is called before the first
    page of each request sequence, with its window; ``on_page`` once a page is written.

    Raises:
        ApiError: a request, its answer or the destination failed.
        TokenRequestError: no token could be had.
        TemplateFailed: a template names something undefined or gives null.
    """
    endpoint = run.endpoint
    options = endpoint.destination
    assert options is not None  # specs.rules: destination-missing
    folder = run.open_path(output_path(run), options.conn_id)
    keys = _seen_keys(run)
    reader = _Reader(run, session, keys, on_window)
    output = transfer(
        reader.pages(),
        FolderDestination(folder, options.format),
        Run(run.name, run.run_id, {"map_index": run.map_index} if run.map_index >= 0 else {}),
        keys=keys,
        watermark=_watermark(endpoint.incremental),
        on_page=on_page,
        warnings=reader.warnings,
    )
    return _summary(run, output, folder, reader)


def count_sequences(endpoint: Endpoint, item: Item, interval: Interval) -> int:
    """How many request sequences a task for ``item`` reads: its parent records times the windows of ``interval``."""
    return count_scopes(item) * sum(1 for _ in run_windows(endpoint, interval))


class _Reader:
    """The pages of all request sequences of a run."""

    def __init__(
        self,
        run: EndpointRun,
        session: OAuthSession,
        keys: Deduplicator | None,
        on_window: Callable[[Window | None], None] | None = None,
    ) -> None:
        self._run = run
        self._session = session
        self._keys = keys
        self._on_window = on_window
        self._records = _record_options(run.endpoint)
        self._copies = _copied_fields(run.endpoint)
        self._firsts = FirstPages(run.endpoint)
        self._warn = Warnings()
        self.sequences = 0

    def warnings(self) -> list[str]:
        """Doubts about what was read, for people."""
        return [*self._firsts.warnings(), *self._warn.texts()]

    def pages(self) -> Iterator[Page]:
        """Every page, in the order of parents, windows and pages, however many sequences are read at once."""
        width = self._run.endpoint.concurrency
        sequences = self._sequences(alone=width == 1)
        with closing(sequences if width == 1 else several_ahead(sequences, width)) as running:
            for sequence, pages in running:
                if self._keys is not None:
                    self._keys.begin_sequence(sequence.parent)
                if self._on_window is not None:
                    self._on_window(sequence.window)
                yield from self._watched(pages, sequence.copied)

    def _sequences(self, *, alone: bool) -> Generator[tuple[_Sequence, Iterator[Page]], None, None]:
        for parent, names in enumerate(scopes(self._run.item, self._run.open_path)):
            copied = {
                name: search_value(names[source], path, f"in for_each.{source}.copy.{name}")
                for name, (source, path) in self._copies.items()
            }
            for window in run_windows(self._run.endpoint, self._run.interval):
                yield (
                    _Sequence(parent, copied, window),
                    self._pages_of(names, window, ahead=int(alone)),
                )

    def _pages_of(
        self, names: Mapping[str, Any], window: Window | None, *, ahead: int
    ) -> Iterator[Page]:
        endpoint = self._run.endpoint
        scope = {**self._run.scope, **names}
        if window is not None:
            scope["window"] = {"start": window.start, "end": window.end}
        yield from pull(
            self._session,
            render_request(endpoint, scope),
            paginate=endpoint.paginate,
            records=self._records,
            responses=endpoint.responses,
            rate_limit=endpoint.rate_limit,
            limit_key=f"{self._session.conn_id}/{self._run.name}",
            decode="exact" if self._copies else False,
            ahead=ahead,
            warn=self._warn,
        )

    def _watched(self, pages: Iterable[Page], copied: Mapping[str, Any]) -> Iterator[Page]:
        self.sequences += 1
        count = rows = 0
        found = missed = False
        for page in pages:
            rows = rows if count else page.count
            count += 1
            found, missed = found or not page.is_doubtful, missed or page.is_doubtful
            yield replace(page, records=_with_fields(page.records, copied)) if copied else page
        self._firsts.ended(count, rows, found=found, missed=missed)


@dataclass(frozen=True)
class _Sequence:
    """Whose pages they are: the number of the parent, what its children copy from it, and the window."""

    parent: int
    copied: Mapping[str, Any]
    window: Window | None


def _record_options(endpoint: Endpoint) -> Records:
    if isinstance(endpoint.records, Records):
        return endpoint.records
    return Records(path=endpoint.records)


def _key_paths(endpoint: Endpoint) -> Sequence[str]:
    keys = endpoint.primary_key
    return [keys] if isinstance(keys, str) else keys or ()


def _seen_keys(run: EndpointRun) -> Deduplicator | None:
    if run.endpoint.primary_key is None:
        return None
    has_parents = any(share.file is not None for share in run.item.values())
    return Deduplicator(_key_paths(run.endpoint), across_parents=has_parents)


def _watermark(incremental: Incremental | None) -> Watermark | None:
    if incremental is None or incremental.field is None:
        return None
    return Watermark(incremental.field, missing=incremental.missing)


def _copied_fields(endpoint: Endpoint) -> dict[str, tuple[str, str]]:
    """Field added to each record: the ``for_each`` name it comes from and its JMESPath."""
    options = for_each_options(endpoint)
    return {
        name: (source, path)
        for source, option in options.items()
        for name, path in option.copy.items()
    }


def _with_fields(records: Sequence[Any], fields: Mapping[str, Any]) -> list[Any]:
    for record in records:
        if not isinstance(record, dict):
            raise InvalidRecord(
                "for_each.copy adds fields to a record that is a single value",
                hint="Let the record selector build mappings, or remove copy.",
            )
        clash = next((name for name in fields if name in record), None)
        if clash is not None:
            raise InvalidRecord(
                f"for_each.copy would overwrite the field {clash!r} of a record",
                hint="Choose another name under copy.",
            )
    return [{**record, **fields} for record in records]


def output_path(run: EndpointRun) -> str:
    """The folder or URL that ``run`` writes to.

    Raises:
        TemplateFailed: the template of the destination's path fails.
        DestinationError: a value that came with the run is no path segment.
    """
    base = run.folder
    if base is None:
        base = run_folder(run.endpoint, run.run_id, run.scope, run.item, run.given)
    return instance_folder(base, run.map_index)


def _summary(run: EndpointRun, output: Output, folder: Any, reader: _Reader) -> Summary:
    summary, options = output.summary, run.endpoint.destination
    interval = None
    if run.endpoint.incremental is not None:
        start = run.interval.start
        interval = [start.isoformat() if start else "", run.interval.end.isoformat()]
    return Summary(
        endpoint=run.name,
        rows=summary.rows,
        pages=summary.pages,
        sequences=reader.sequences,
        bytes=output.bytes,
        received_bytes=summary.received_bytes,
        seconds=summary.seconds,
        files=[
            WrittenFile(
                str(folder / name),
                rows=summary.rows,
                bytes=output.bytes,
                host=socket.gethostname() if isinstance(folder, Path) else "",
            )
            for name in output.files
        ],
        manifest=str(folder / MANIFEST),
        conn_id=options.conn_id if options else None,
        duplicates=summary.dropped,
        watermark=summary.watermark,
        interval=interval,
        map_index=run.map_index,
        warnings=list(summary.warnings),
    )
