"""The files of rejected records next to the parts of an output: JSON lines, under the same commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oauth_taskflow.destinations.formats.jsonl import JSON_LINES
from oauth_taskflow.destinations.kept_parts import KeptPart
from oauth_taskflow.destinations.output_folders import REJECTED, Attempt
from oauth_taskflow.destinations.part_stream import PartOptions, PartStream

REJECTED_FORMAT = "jsonl"


class RejectedParts:
    """The rejected records of an attempt; without one there is no file."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._stream: PartStream | None = None

    @property
    def stream(self) -> PartStream:
        """The files, begun at the first use."""
        if self._stream is None:
            self._stream = PartStream(self._attempt, PartOptions(JSON_LINES, stem=REJECTED))
        return self._stream

    @property
    def is_half(self) -> bool:
        """Whether the last records were written in part."""
        return self._stream is not None and self._stream.is_half

    def write(self, records: Sequence[Any]) -> None:
        """Writes rejected records.

        Raises:
            Exception: the file cannot be written.
        """
        self.stream.write(records)

    def keep(self) -> list[KeptPart]:
        """Returns all rejected records so far, as ``PartStream.keep`` does."""
        return [] if self._stream is None else self._stream.keep()

    def end(self) -> list[KeptPart]:
        """Completes the files and returns them."""
        if self._stream is None:
            return []
        self._stream.end()
        return [part for part in self._stream.parts if part.rows]

    def drop(self) -> None:
        """Ends without completing a file; never raises."""
        if self._stream is not None:
            self._stream.drop()
