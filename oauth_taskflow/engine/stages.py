"""The stages that records pass on their way to a destination: count of keys, filter, fields, contract, watermark, primary key, checks.

``STAGE_BUILDERS`` is the only list, in the order of the way. An endpoint that does not use a stage does not pay for it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from msgspec.structs import replace

from oauth_taskflow.api.pull.keys.dedupe import Deduplicator, Replay
from oauth_taskflow.api.pull.keys.record_digests import read_content, sort_content
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.contracts.last_run import LastRunFinder, find_no_run
from oauth_taskflow.destinations.base import KeptForm
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.transfer import KeptRecords, Stage, TransferSummary
from oauth_taskflow.engine.checks_stage import ChecksStage
from oauth_taskflow.engine.contract_stage import ContractStage, build_enforcement
from oauth_taskflow.engine.fields_stage import FieldsStage, is_used
from oauth_taskflow.engine.filter_stage import FilterStage
from oauth_taskflow.engine.moved_rows import RowKeysStage, is_needed
from oauth_taskflow.engine.window_filter import WindowStage
from oauth_taskflow.engine.window_watch import build_window_watch
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Window

_REPLAY_ROWS = 1000


class StageOptions(NamedTuple):
    """The facts that select the stages of a task instance: its endpoint, and whether it reads records of a parent.

    ``context`` holds the template names of the run, ``hash_key`` the key of ``fields.hash`` in this deployment.
    ``positions`` are those of a run that begins at stored watermarks. ``find_last_run`` looks up the run before, and ``is_whole``
    says that no other task instance reads records of the endpoint. ``quarantine`` takes what stages reject. ``kept_form`` is the form in
    which the next attempt would find the records of this one.
    """

    endpoint: Endpoint
    has_parents: bool = False
    context: Mapping[str, Any] = MappingProxyType({})
    hash_key: str | None = None
    positions: Stage | None = None
    find_last_run: LastRunFinder = find_no_run
    is_whole: bool = True
    quarantine: Quarantine | None = None
    kept_form: KeptForm = "bytes"


class WatermarkStage:
    """Takes the highest value of the incremental field from every record, repeated ones included."""

    def __init__(self, watermark: Watermark) -> None:
        self._watermark = watermark

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Compares the records and hands all of them on.

        Raises:
            InvalidRecord: the incremental field is absent, unreadable or of another kind.
        """
        self._watermark.update(records)
        return records

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the watermark."""
        return replace(summary, watermark=self._watermark.value)

    def save(self) -> Any:
        """Returns the watermark as JSON, whose integers have any number of digits."""
        return json.dumps(self._watermark.value)

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the watermark of the pages before."""
        self._watermark.restore(json.loads(state))


class DedupeStage:
    """Drops records whose primary key came before; those that changed since stay by stored watermark, and for a merge."""

    def __init__(self, keys: Deduplicator) -> None:
        self._keys = keys

    @property
    def compares_records(self) -> bool:
        """Whether whole records are compared, and not their keys alone."""
        return self._keys.compares_records

    @property
    def seen(self) -> SeenKeys:
        """The keys of the current request sequence, of dropped records too."""
        return self._keys.seen

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Notes that the pages of another request sequence follow, those of the parent record ``parent``."""
        self._keys.begin_sequence(parent)

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Hands the records with new keys on.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold nothing new.
        """
        return self._keys.drop_seen(records, index=page.index, where=f"at {page.url}")

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the number of dropped records, and a warning where the key names several records of one page."""
        warnings = [*summary.warnings]
        self._keys.warn_of_differing(warnings.append)
        return replace(summary, dropped=self._keys.dropped, warnings=tuple(warnings))

    def save(self) -> Any:
        """Returns the counts; keys are in the records."""
        return self._keys.save()

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes the counts, and the keys of the records that were kept: those of the current parent where that is enough.

        Raises:
            ValueError: the destination gives the records back so changed that repeats of them would not be found.
        """
        self._keys.restore(state)
        first = 0 if self._keys.across_parents else kept.parent_rows
        self._replay(kept, first, kept.parent_rows, Replay.OTHER_PARENT)
        self._replay(kept, kept.parent_rows, kept.sequence_rows, Replay.OTHER_SEQUENCE)
        self._replay(kept, kept.sequence_rows, kept.rows, Replay.THIS_SEQUENCE)
        if first < kept.rows and self._keys.save() != state:
            raise ValueError(
                "Records that were kept have other keys, or other content, when they are read again"
            )

    def _replay(self, kept: KeptRecords, first: int, end: int, place: Replay) -> None:
        records = kept.read(first, end - first) if first < end else iter(())
        while batch := list(itertools.islice(records, _REPLAY_ROWS)):
            self._keys.replay(batch, place)


def build_row_keys_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint whose rows may be left out before ``primary_key`` is looked at."""
    paths = _list_keys(options.endpoint)
    return RowKeysStage(paths) if paths and is_needed(options.endpoint, paths) else None


def build_filter_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``where``."""
    where = options.endpoint.where
    return None if where is None else FilterStage(where, options.endpoint.for_each)


def build_fields_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``fields``."""
    fields = options.endpoint.fields
    if not is_used(fields):
        return None
    return FieldsStage(fields, options.context, options.hash_key, options.quarantine)


def build_window_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``incremental.keep``, or the one that looks whether the API keeps to the windows."""
    incremental = options.endpoint.incremental
    if incremental is not None and incremental.keep:
        return WindowStage(incremental)
    return build_window_watch(options.endpoint, has_positions=options.positions is not None)


def build_contract_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``contract``."""
    enforcement = build_enforcement(options.endpoint)
    if enforcement is None:
        return None
    find = options.find_last_run if options.is_whole else find_no_run
    return ContractStage(enforcement, find, options.quarantine)


def build_watermark_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``incremental.field``, or of a run that begins at stored watermarks."""
    if options.positions is not None:
        return options.positions
    incremental = options.endpoint.incremental
    if incremental is None or incremental.field is None:
        return None
    watermark = Watermark(
        incremental.field, missing=incremental.missing, form=incremental.field_format
    )
    return WatermarkStage(watermark)


def build_dedupe_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``primary_key``."""
    paths = _list_keys(options.endpoint)
    if not paths:
        return None
    # The next run goes on behind a record that changed while this one reads, so its newer version is not a repeat. A
    # destination that merges chooses among the versions itself: by the incremental field, else the last.
    keeps_versions = options.positions is not None or _merges(options.endpoint)
    return DedupeStage(
        Deduplicator(
            paths,
            across_parents=options.has_parents,
            keeps_versions=keeps_versions,
            content=sort_content if options.kept_form == "json" else read_content,
        )
    )


def _merges(endpoint: Endpoint) -> bool:
    """Whether a destination keeps one row for each primary key."""
    return any(getattr(each, "mode", None) == "merge" for each in endpoint.all_destinations)


def _list_keys(endpoint: Endpoint) -> list[str]:
    keys = endpoint.primary_key
    return [keys] if isinstance(keys, str) else keys or []


def build_checks_stage(options: StageOptions) -> Stage | None:
    """Returns the stage of an endpoint with ``checks``."""
    if options.endpoint.checks is None:
        return None
    return ChecksStage(options.endpoint, options.find_last_run, is_whole=options.is_whole)


@runtime_checkable
class SequenceObserver(Protocol):
    """A stage that must know where one request sequence ends and another begins."""

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:
        """Notes that the pages of another sequence follow, those of the parent record with this number.

        ``names`` are the template names of the sequence: its ``window``, and those of ``for_each`` with their values.
        """


def begin_sequence(stages: Sequence[Stage], parent: int, names: Mapping[str, Any]) -> None:
    """Notifies the stages that ask for it that another request sequence begins."""
    for stage in stages:
        if isinstance(stage, SequenceObserver):
            stage.begin_sequence(parent, names)


@runtime_checkable
class WindowObserver(Protocol):
    """A stage that must know the window to which records belong."""

    def begin_window(self, window: Window | None) -> None:
        """Notes that the pages of ``window`` follow."""


def begin_window(stages: Sequence[Stage], window: Window | None) -> None:
    """Notifies the stages that ask for it of the window that the next pages belong to."""
    for stage in stages:
        if isinstance(stage, WindowObserver):
            stage.begin_window(window)


StageBuilder = Callable[[StageOptions], "Stage | None"]
STAGE_BUILDERS: Sequence[StageBuilder] = (
    build_row_keys_stage,
    build_filter_stage,
    build_fields_stage,
    build_window_stage,
    build_contract_stage,
    build_watermark_stage,
    build_dedupe_stage,
    build_checks_stage,
)


def build_stages(options: StageOptions) -> list[Stage]:
    """Returns the stages that the endpoint uses, in the order in which records pass them.

    Raises:
        SpecError: a stage needs something that this deployment does not have.
    """
    built = (build(options) for build in STAGE_BUILDERS)
    return [stage for stage in built if stage is not None]
