"""Counts the keys of rows that stages leave out, so that rows which moved between pages are found with them too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from oauth_taskflow.api.pull.keys.moved_rows import has_comparable_total
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys, digest_key
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.fields.trace import keeps_name, read_plain_names
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.rejects import can_reject

_REPLAY_ROWS = 1000


@runtime_checkable
class CountsKeys(Protocol):
    """A stage that remembers the keys of the rows it processed."""

    @property
    def seen(self) -> SeenKeys:
        """The keys of the current request sequence."""


class RowKeysStage:
    """Counts how often the key of a row came before in its sequence, for all rows as the API returned them.

    ``DedupeStage`` does not see the rows that the stages before it leave out. A row without the key is not counted.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._columns = [build_column_reader(path) for path in paths]
        self.seen = SeenKeys()

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Notes that the pages of another request sequence follow."""
        self.seen.forget()
        self.seen.begin_sequence()

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Counts the keys and hands all records on."""
        self.seen.begin_page()
        for digest in self._digests(records):
            self.seen.add(digest)
        return records

    def _digests(self, records: Sequence[Any]) -> Iterator[bytes]:
        keys = zip(*(read(records) for read in self._columns), strict=True)
        return (digest_key(key) for key in keys if None not in key)

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds nothing: each sequence is judged at its end."""
        return summary

    def save(self) -> Any:
        """Returns the counts."""
        return self.seen.save()

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes the counts, and the keys of the sequence's records that were kept; those left out are forgotten."""
        self.seen.restore(state)
        records = kept.read(kept.sequence_rows, kept.rows - kept.sequence_rows)
        while batch := list(itertools.islice(records, _REPLAY_ROWS)):
            for digest in self._digests(batch):
                self.seen.replay(digest, in_sequence=True)


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
