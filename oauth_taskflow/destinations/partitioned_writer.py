"""Writes the records of a run into a folder for each partition, with bounded memory and few open files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.destinations.base import Output, Run
from oauth_taskflow.destinations.folder_destination import Folder, FolderDestination
from oauth_taskflow.destinations.folder_writer import Writing, commit_parts
from oauth_taskflow.destinations.output_folders import Attempt, as_destination_errors
from oauth_taskflow.destinations.part_stream import PartOptions, PartStream
from oauth_taskflow.destinations.partitions import FieldPartition, Partition, Partitioner
from oauth_taskflow.destinations.rejected_parts import RejectedParts

if TYPE_CHECKING:
    from oauth_taskflow.destinations.transfer import TransferSummary

# Records wait in memory until there are many of a partition: short writes compress badly and cost a file each in stores.
HELD_BYTES = 16 << 20
MOST_OPEN = 16
# Formats with row groups hold back so much of all open parts together: each may write its rows before its group is full.
GATHERED_BYTES = 48 << 20


class _Held:
    """The records of a partition that wait."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.records: list[msgspec.Raw] = []
        self.bytes = 0

    def add(self, content: bytes) -> None:
        self.records.append(msgspec.Raw(content))
        self.bytes += len(content)


class PartitionedWriter:
    """Writes one run's records to the folders of their partitions.

    Beyond ``MOST_OPEN`` open parts, the one that was not used for longest rests: on a disk it is gone on with, in a
    store it ends.
    """

    def __init__(
        self, attempt: Attempt, writing: Writing, options: PartOptions, partitioner: Partitioner
    ) -> None:
        self._attempt = attempt
        self._writing = writing
        self._options = options
        self._partitioner = partitioner
        self._rejected = RejectedParts(attempt)
        self._held: dict[str, _Held] = {}  # by the folder of the partition, as all below
        self._held_bytes = 0
        self._streams: dict[str, PartStream] = {}
        self._open: OrderedDict[str, PartStream] = OrderedDict()
        self._gathered: dict[str, int] = {}  # bytes that open parts may hold back

    def write(self, records: Sequence[Any]) -> None:
        """Takes ``records``, and writes those that have waited enough.

        Raises:
            DestinationError: a file cannot be written, or a value has no form in the format.
            InvalidRecord: a record has no partition.
        """
        with as_destination_errors("Writing records", self._writing.folder):
            for record in records:
                partition = self._partitioner.find(record)
                # A copy: a record that waits must not keep its page in memory.
                content = bytes(record) if isinstance(record, msgspec.Raw) else encode(record)
                held = self._held.get(partition.folder)
                if held is None:
                    held = self._held[partition.folder] = _Held(partition)
                held.add(content)
                self._held_bytes += len(content)
                if self._held_bytes > HELD_BYTES:
                    self._write_most()

    def reject(self, records: Sequence[Any]) -> None:
        """Writes rejected records to a file of the whole run: they may have no partition.

        Raises:
            DestinationError: the file cannot be written.
        """
        with as_destination_errors("Writing rejected records", self._writing.folder):
            self._rejected.write(records)

    def _write_most(self) -> None:
        for folder in sorted(self._held, key=lambda one: self._held[one].bytes, reverse=True):
            if self._held_bytes <= HELD_BYTES // 2:
                return
            self._write_held(folder)

    def _write_held(self, folder: str) -> None:
        held = self._held.pop(folder)
        self._held_bytes -= held.bytes
        self._use(held.partition).write(held.records)
        self._gathered[folder] = self._gathered.get(folder, 0) + held.bytes
        if sum(self._gathered.values()) > GATHERED_BYTES:
            largest = max(self._gathered, key=self._gathered.__getitem__)
            self._streams[largest].end_group()
            del self._gathered[largest]

    def _use(self, partition: Partition) -> PartStream:
        folder = partition.folder
        stream = self._streams.get(folder)
        if stream is None:
            stream = PartStream(self._attempt, self._options, partition)
            self._streams[folder] = stream
        self._open[folder] = stream
        self._open.move_to_end(folder)
        if len(self._open) > MOST_OPEN:
            resting, oldest = self._open.popitem(last=False)
            oldest.rest()
            self._gathered.pop(resting, None)
        return stream

    def commit(self, summary: TransferSummary) -> Output:
        """Puts the parts of all partitions and their manifest in place of an earlier output.

        Raises:
            DestinationError: a step failed, or another attempt committed since this one was opened.
        """
        with as_destination_errors("Writing records", self._writing.folder):
            for folder in sorted(self._held):
                self._write_held(folder)
            for stream in self._streams.values():
                stream.end()
            rejected = self._rejected.end()
        parts = [part for folder in sorted(self._streams) for part in self._streams[folder].parts]
        return commit_parts(self._attempt, self._writing, summary, parts, rejected)

    def abort(self) -> None:
        """Removes what was written; never raises, since another error is on its way."""
        for stream in self._streams.values():
            stream.drop()
        self._rejected.drop()
        self._attempt.discard()


class PartitionedDestination(FolderDestination):
    """A folder in which each record goes to the folder of its partition; a pull that was cut off starts over."""

    def __init__(
        self,
        folder: Folder,
        file_format: str = "jsonl",
        *,
        levels: Sequence[FieldPartition],
        **options: Any,
    ) -> None:
        super().__init__(folder, file_format, **options)
        self._levels = levels

    @property
    def is_resumable(self) -> bool:
        """Never: the records of a page are spread over many files."""
        return False

    def open(self, run: Run) -> PartitionedWriter:  # type: ignore[override]  # one that keeps nothing
        """Opens a writer for one attempt at ``run``.

        Raises:
            DestinationError: the folder cannot be written.
        """
        partitioner = Partitioner(self._levels)
        return self._begin(
            run,
            lambda attempt, writing, options: PartitionedWriter(
                attempt, writing, options, partitioner
            ),
        )
