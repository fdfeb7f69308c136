"""A destination whose rejected records go to their own folder: for tables, functions, and folders with other readers.

The folder commits before the destination: readers who see the records of a run find those that it rejected. It has an output
for each run, also for one that rejected nothing. Such a run starts over when it is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from oauth_taskflow.destinations.base import (
    Description,
    Destination,
    ManifestPlace,
    Output,
    Run,
    Writer,
)
from oauth_taskflow.destinations.folder_destination import FolderDestination
from oauth_taskflow.destinations.transfer import TransferSummary


class QuarantiningDestination:
    """``destination``, with ``folder`` for what it does not get."""

    def __init__(self, destination: Destination, folder: FolderDestination) -> None:
        self._destination = destination
        self._folder = folder

    def open(self, run: Run) -> QuarantiningWriter:
        """Opens a writer at both.

        Raises:
            DestinationError: one of them cannot be written.
        """
        rejected = self._folder.open(run)
        try:
            return QuarantiningWriter(self._destination.open(run), rejected)
        except BaseException:
            rejected.abort()
            raise

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes stale output of the destination; the engine asks the folder itself.

        Raises:
            DestinationError: as the destination raises.
        """
        return self._destination.remove_stale(current)

    def read(
        self, part: str, skip: int, take: int, *, host: str = "", selector: str = ""
    ) -> Iterator[Any]:
        """Reads records of the destination.

        Raises:
            ApiError: the part is missing.
        """
        return self._destination.read(part, skip, take, host=host, selector=selector)

    def describe(self, output: Output) -> Description:
        """Describes the output of the destination, and says where the manifest of the folder is."""
        manifest = self._folder.locate_manifest(output.run).path
        return replace(self._destination.describe(output), quarantine=manifest)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns the place of the destination's manifest, which is committed last."""
        return self._destination.locate_manifest(run)

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the destination's manifest.

        Raises:
            DestinationError: as the destination raises.
        """
        return self._destination.read_manifest(path)


class QuarantiningWriter:
    """Writes records to one writer and rejected ones to the other; see the module."""

    def __init__(self, writer: Writer, rejected: Writer) -> None:
        self._writer = writer
        self._rejected = rejected
        self._has_committed = False

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records`` to the destination.

        Raises:
            DestinationError: the destination refuses them.
        """
        self._writer.write(records)

    def reject(self, records: Sequence[Any]) -> None:
        """Writes rejected records to the folder.

        Raises:
            DestinationError: the folder cannot be written.
        """
        self._rejected.write(records)

    def commit(self, summary: TransferSummary) -> Output:
        """Commits the folder, then the destination.

        Raises:
            DestinationError: one of them did not commit.
        """
        self._rejected.commit(_describe_rejected(summary))
        self._has_committed = True
        return self._writer.commit(summary)

    def abort(self) -> None:
        """Drops what was not committed; never raises."""
        if not self._has_committed:
            self._rejected.abort()
        self._writer.abort()


def _describe_rejected(summary: TransferSummary) -> TransferSummary:
    """Returns the summary of the folder; what proves watermarks belongs to the destination alone."""
    rows = 0 if summary.rejected is UNSET else summary.rejected
    plain = dict.fromkeys(("watermarks", "schema", "rejected", "discarded", "drift"), UNSET)
    plain |= dict.fromkeys(("filtered", "outside"), UNSET)
    return replace(summary, rows=rows, dropped=0, watermark=None, warnings=(), **plain)
