"""Counts the keys of rows that stages leave out, so that rows which moved between pages are found with them too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oauth_taskflow.api.pull.keys.moved_rows import KeyCounts, has_comparable_total
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys, digest_key
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.destinations.transfer import KeptRecords, Stage, TransferSummary
from oauth_taskflow.fields.trace import keeps_name, read_plain_names
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.rejects import can_reject

_REPLAY_ROWS = 1000


class RowKeysStage:
    """Counts how often the key of a row came before in its sequence, for all rows as the API returned them.

    ``DedupeStage`` does not see the rows that the stages before it leave out. A row without the key is not counted.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._columns = [build_column_reader(path) for path in paths]
        self._seen = SeenKeys()

    @property
    def repeats(self) -> int:
        """How often the key of a row had come before in the current request sequence."""
        return self._seen.repeats

    @property
    def is_unique(self) -> bool:
        """Whether no page had a key twice."""
        return self._seen.is_unique

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Notes that the pages of another request sequence follow."""
        self._seen.forget()
        self._seen.begin_sequence()

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Counts the keys and hands all records on."""
        self._seen.begin_page()
        for digest in self._digests(records):
            self._seen.add(digest)
        return records

    def _digests(self, records: Sequence[Any]) -> Iterator[bytes]:
        keys = zip(*(read(records) for read in self._columns), strict=True)
        return (digest_key(key) for key in keys if None not in key)

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds nothing: each sequence is judged at its end."""
        return summary

    def save(self) -> Any:
        """Returns the counts."""
        return self._seen.save()

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes the counts, and the keys of the sequence's records that were kept; those left out are forgotten."""
        self._seen.restore(state)
        records = kept.read(kept.sequence_rows, kept.rows - kept.sequence_rows)
        while batch := list(itertools.islice(records, _REPLAY_ROWS)):
            for digest in self._digests(batch):
                self._seen.replay(digest, in_sequence=True)


def is_needed(endpoint: Endpoint, paths: Sequence[str]) -> bool:
    """Whether the stage finds more than ``DedupeStage``: rows may be left out, and they have the key as the API returns them."""
    paginate, incremental = endpoint.paginate, endpoint.incremental
    if paginate is None or not has_comparable_total(paginate):
        return False
    is_window = incremental is not None and incremental.keep is not None
    if endpoint.where is None and not is_window and not can_reject(endpoint):
        return False
    fields = endpoint.fields
    return fields is None or all(keeps_name(fields, read_plain_names(path)) for path in paths)


class SequenceKeys:
    """The keys of the current sequence, as the stages of the run have counted them."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = [stage for stage in stages if isinstance(stage, KeyCounts)]

    def __bool__(self) -> bool:
        return bool(self._stages)

    @property
    def repeats(self) -> int:
        """The most repeats that a stage has seen: each may have missed some, by what is left out or was not kept."""
        return max(stage.repeats for stage in self._stages)

    @property
    def is_unique(self) -> bool:
        """Whether no stage has seen a key twice in a page."""
        return all(stage.is_unique for stage in self._stages)
