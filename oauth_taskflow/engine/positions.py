"""Watermark mode: where each partition of a run begins to read, and how far it came.

A *partition* is a combination of ``for_each`` values, parent records and params that the request depends on; each has a
watermark. Without any of them, the endpoint is one partition.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from oauth_taskflow.api.decoders.json import search_value
from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.watermark import Watermark, rank_value
from oauth_taskflow.api.response_rules import ResponseRule, Rules
from oauth_taskflow.dates import Instant
from oauth_taskflow.destinations.base import Destination, Run
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.engine.first_run import select_endpoint
from oauth_taskflow.engine.for_each import for_each_options
from oauth_taskflow.engine.output_location import destination_kind
from oauth_taskflow.engine.position import Position
from oauth_taskflow.engine.position_trail import PositionTrail
from oauth_taskflow.engine.resume import StartOver
from oauth_taskflow.engine.windows import run_windows
from oauth_taskflow.errors import InvalidRecord, SpecError
from oauth_taskflow.iso8601 import InstantOutOfRange, add_duration
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.instant_formats import EPOCH
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import (
    Interval,
    Window,
    duration_back,
    move_interval,
)
from oauth_taskflow.templates.references import parse_template, template_texts
from oauth_taskflow.watermarks.partitions import write_partition
from oauth_taskflow.watermarks.state import (
    Move,
    Value,
    WatermarkState,
    advance,
)

if TYPE_CHECKING:
    from oauth_taskflow.watermarks.run_watermarks import RunWatermarks

# Partitions that are looked up together.
_TOGETHER = 100
_UNITS = {"epoch": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}


class PullFrom(Protocol):
    """Pulls the pages of one request sequence; ``responses`` are rules that come before those of the endpoint."""

    def __call__(
        self, names: Mapping[str, Any], *, responses: Sequence[ResponseRule] = ()
    ) -> Generator[Page, None, None]:
        """Yields the pages of the request that ``names`` fill in."""


class Positions:
    """The partitions of one task instance, which is also the stage that records pass."""

    def __init__(self, endpoint: Endpoint, interval: Interval, watermarks: RunWatermarks) -> None:
        options = endpoint.incremental
        assert options is not None
        self._options = options
        self._endpoint = endpoint
        self._interval = interval
        self._watermarks = watermarks
        self._moment = move_interval(options, interval).end
        self._keys = _PartitionKeys(endpoint)
        # A person may have given the run another beginning.
        is_from_start = interval.start is None
        self._first = select_endpoint(endpoint, interval) if is_from_start else endpoint
        self._all: list[Position] = []
        self._trail = PositionTrail()
        self._current: Position | None = None

    @property
    def cursor_path(self) -> str | None:
        """The JMESPath into each page at which the API's own cursor is."""
        place = self._options.cursor
        return place.path if isinstance(place, CursorPlace) else place

    def attach(
        self, contexts: Iterable[dict[str, Any]], run_names: Mapping[str, Any]
    ) -> Iterator[tuple[dict[str, Any], Position]]:
        """Yields each mapping of ``for_each`` names with its position: that of an attempt before, as far as it came.

        Raises:
            StartOver: an attempt before read other partitions, or began elsewhere.
        """
        contexts = iter(contexts)
        while together := list(islice(contexts, _TOGETHER)):
            partitions = [self._keys.write(names, run_names) for names in together]
            for names, partition, base in zip(
                together, partitions, self._watermarks.find(partitions), strict=True
            ):
                position = self._open(partition, base)
                self._all.append(position)
                yield names, position

    def _open(self, partition: str, base: WatermarkState) -> Position:
        number, kept = len(self._all), self._trail.kept
        saved = kept[number] if number < len(kept) else None
        if saved is not None:
            known, base = base, saved.read_base()
            # The watermark may have moved since; a run that is tried again begins where it began first.
            if saved.partition != partition or (self._watermarks.knows_run and base != known):
                raise StartOver
        endpoint = self._first if base.is_empty else self._endpoint
        position = Position(partition, base, self._options, endpoint, self._moment)
        if saved is not None:
            position.restore(saved, self._first)
        return position

    def windows(self, position: Position) -> Iterator[Window | None]:
        """Yields the windows of ``position``, oldest first.

        Raises:
            SpecError: a window cannot begin at the stored watermark.
        """
        endpoint = position.endpoint
        if self._options.keep is None and not names_window(endpoint):
            yield None
            return
        since = self._interval.start  # of a run for which a person named the beginning
        if since is None and position.base.value is not None and self._options.cursor is None:
            since = _read_instant(position.base.value, self._options.format)
            back = duration_back(self._options.until)
            # Both ends of an interval move back by ``until``; a watermark is where reading begins.
            since = since if back is None else _move_on(since, back)
        yield from run_windows(
            endpoint, Interval(since, self._interval.end, open_end=self._interval.open_end)
        )

    def pages(
        self,
        position: Position,
        names: Mapping[str, Any],
        pull_from: PullFrom,
        warn: Callable[[str], None],
        *,
        goes_on: bool = False,
    ) -> Generator[Page, None, None]:
        """Yields the pages of one request sequence of ``position``; without its cursor when the API knows it no longer.

        ``goes_on`` says that an attempt before read the first ones.

        Raises:
            ApiError: as ``pull_from`` raises.
            StartOver: the API refuses the cursor after pages that were kept.
        """
        names = {**names, "watermark": position.names}
        if "cursor" not in position.names:
            yield from pull_from(names)
            return
        expired = self._options.expired
        rule = ResponseRule(status=expired.status, when=expired.when, action="fail")
        with closing(pull_from(names, responses=[rule])) as pages:
            try:
                first = next(pages, None)
            except ApiStatusError as error:
                if error.response is None or Rules([rule])(error.response) is None:
                    raise
                if goes_on:
                    raise StartOver from error
                warn(
                    f"The API knows the stored cursor no longer (HTTP {error.response.status_code}), so everything was "
                    "read again: the records may have come before, and those deleted since do not show."
                )
            else:
                yield from () if first is None else (first,)
                yield from pages
                return
        position.restart(self._first)
        yield from pull_from({**names, "watermark": {}})

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Notes that the pages of the partition with this number follow, and those before are read."""
        self._trail.add(self._all[len(self._trail) : parent])
        self._current = self._all[parent]

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Hands the records to their partition; see ``Position.process``."""
        assert self._current is not None
        return self._current.process(records, page)

    def save(self) -> Any:
        """Returns where the partitions began and how far they came, those read to their end and the current one."""
        return self._trail.save(self._current)

    def plan_from(self, state: Any) -> None:
        """Takes a saved state before the first request: it says where partitions begin.

        Raises:
            ValueError: it is damaged.
        """
        self._trail.restore(state)

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes nothing further than ``plan_from``."""

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Notes the moves before the output is committed, and adds them to the summary.

        Raises:
            InvalidRecord: a cursor is missing, or a value cannot be compared with the stored one.
            TokenStoreError: the database failed.
        """
        moves = [
            Move(position.partition, position.base, position.find_reached())
            for position in self._all
        ]
        for move in moves:
            advance(move.base, move)  # a value of another kind fails before the commit
        highest = Watermark("watermark", missing="include", form=self._options.field_format)
        highest.update([{"watermark": position.value} for position in self._all])
        noted = self._watermarks.prepare(moves)
        added = {} if noted is None else {"watermarks": noted}
        warnings = dict.fromkeys(filter(None, (each.describe_rest() for each in self._all)))
        return msgspec.structs.replace(
            summary, watermark=highest.value, warnings=(*summary.warnings, *warnings), **added
        )


def open_positions(
    endpoint: Endpoint,
    interval: Interval,
    watermarks: RunWatermarks | None,
    destination: Destination,
    run: Run,
) -> Positions | None:
    """Returns the positions of a run that begins at stored watermarks; None for other runs.

    Raises:
        WatermarkError: where an earlier try of the run began is not known.
        TokenStoreError: the database failed.
    """
    if watermarks is None or endpoint.incremental is None:
        return None
    watermarks.open(describe_place(endpoint, destination, run))
    return Positions(endpoint, interval, watermarks)


def describe_place(endpoint: Endpoint, destination: Destination, run: Run) -> dict[str, Any]:
    """Returns where the manifest of ``run`` is, as stored watermarks keep it, and the number of the task instance."""
    place = destination.locate_manifest(run)
    return {
        "kind": destination_kind(endpoint),
        "path": place.path,
        "conn_id": place.conn_id,
        "instance": run.map_index,
    }


class _PartitionKeys:
    """Writes the canonical JSON of the partition that a mapping of template names belongs to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._options = for_each_options(endpoint)
        request = msgspec.to_builtins(endpoint.request)
        self._taken = {
            reference
            for _, text in template_texts(request, ())
            for reference in parse_template(text).references
        }

    def write(self, names: Mapping[str, Any], run_names: Mapping[str, Any]) -> str:
        values = {name: self._identify(name, value) for name, value in names.items()}
        params = self._pick("params", run_names.get("params") or {})
        if params:
            # Runs with other params read other data: each has another watermark.
            values["params"] = params
        return write_partition(values)

    def _identify(self, name: str, value: Any) -> Any:
        key = self._options[name].key
        if key is not None:
            found = search_value(value, key, f"in for_each.{name}.key")
            if found is None:
                raise InvalidRecord(
                    f"A parent record of {name!r} has nothing at for_each.{name}.key {key!r}",
                    hint="Correct the key: it names the parent among the stored watermarks.",
                )
            return found
        return self._pick(name, value) if isinstance(value, Mapping) else value

    def _pick(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of ``value`` that the request takes; all of them where it takes the whole, or by a computed name."""
        taken = {attribute for one, attribute in self._taken if one == name}
        if not taken:
            return {}
        picked = {} if "get" in taken else {one: value[one] for one in taken if one in value}
        return picked or value


def names_window(endpoint: Endpoint) -> bool:
    """Whether the request of ``endpoint`` sends a bound of its window."""
    texts = template_texts(msgspec.to_builtins(endpoint.request), ())
    return any(name == "window" for _, text in texts for name, _ in parse_template(text).references)


def _move_on(since: datetime, back: str) -> datetime:
    """Returns the beginning of an interval that ``until`` moves back to ``since``."""
    try:
        return add_duration(since, back)
    except InstantOutOfRange as error:
        raise SpecError(
            [
                f"The stored watermark is {since.isoformat()}, and no interval that incremental.until moves back begins "
                f"there: {error}. Correct the watermark: airflow oauth watermark set."
            ]
        ) from error


def _read_instant(value: Value, style: str) -> datetime:
    """Returns the instant of a stored value: RFC 3339, or a number in the unit in which windows are written."""
    rank = rank_value(value)
    if rank is not None and rank[0] == "instant":
        return Instant(*rank[1]).moment  # type: ignore[misc]  # the shape of this kind
    unit = _UNITS.get(style)
    if unit is not None and rank is not None:
        number: Any = rank[1]
        with suppress(OverflowError):
            return EPOCH + timedelta(microseconds=int(number * 1_000_000 // unit))
        raise SpecError(
            [
                f"The stored watermark is {value!r:.40}, which is beyond the years 1 to 9999 as {style}: correct "
                "incremental.format, or the watermark: airflow oauth watermark set."
            ]
        )
    raise SpecError(
        [
            f"The stored watermark is {value!r:.40}, which is not an instant, so window.start cannot begin there: send "
            "{{ watermark.value }} instead, or write incremental.field_format if the number is an instant."
        ]
    )
