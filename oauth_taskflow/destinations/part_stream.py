"""The parts of an attempt, one after another: each is measured on its way, and ends when it has reached its size."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any

import msgspec
from msgspec.structs import replace

from oauth_taskflow.destinations.formats.base import (
    FileFormat,
    GroupingWriter,
    PausingWriter,
    RecordWriter,
    SplittingWriter,
)
from oauth_taskflow.destinations.kept_parts import KeptPart
from oauth_taskflow.destinations.output_folders import PART, Attempt, OpenPart
from oauth_taskflow.destinations.partitions import Partition
from oauth_taskflow.record_schema.model import RecordSchema


class MeasuredFile:
    """Counts and hashes the bytes on their way to the file of a part."""

    def __init__(self, part: OpenPart) -> None:
        self.part = part
        self._open_handle: IO[bytes] | None = part.handle
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.has_failed = False

    @property
    def _handle(self) -> IO[bytes]:
        if self._open_handle is None:
            assert self.part.reopen is not None  # a file rests only where it can be gone on with
            self._open_handle = self.part.reopen()
        return self._open_handle

    def rest(self) -> None:
        """Closes the file until something is written again."""
        self._handle.close()
        self._open_handle = None

    def write(self, data: bytes) -> int:
        """Writes ``data``; after an error it is unknown how much of it is in the file."""
        self._digest.update(data)
        self.bytes += len(data)
        try:
            self._handle.write(data)
        except BaseException:
            self.has_failed = True
            raise
        return len(data)

    def flush(self) -> None:
        """Hands on what is buffered."""
        self._handle.flush()

    def sync(self) -> None:
        """Waits until the content is safely on the disk, where there is one."""
        self.flush()
        with suppress(OSError, AttributeError, ValueError):  # object stores have no descriptor
            os.fsync(self._handle.fileno())

    def close(self) -> None:
        """Closes the file, after its content is safely on the disk where there is one."""
        self.sync()
        self._handle.close()

    def drop(self) -> None:
        """Discards everything written from now on, and leaves the file as it is."""
        self._open_handle = io.BytesIO()

    def figures(self, name: str, rows: int, *, is_open: bool = False) -> KeptPart:
        """Describes what was written so far."""
        return KeptPart(name, rows, self.bytes, self._digest.hexdigest(), is_open)


_NO_PARTITION = Partition("", {})


class PartOptions(msgspec.Struct, frozen=True):
    """How parts are written; a part ends with the page that brings it to ``target_size`` bytes, which may be unlimited."""

    file_format: FileFormat
    target_size: int | None = None
    declared: RecordSchema | None = None
    stem: str = PART


class PartStream:
    """Writes records to part after part of ``attempt``; ``parts`` are those that are complete, under their final names."""

    def __init__(
        self, attempt: Attempt, options: PartOptions, partition: Partition | None = None
    ) -> None:
        self._attempt = attempt
        self._options = options
        self._partition = partition or _NO_PARTITION
        self.parts: list[KeptPart] = []
        self._records: RecordWriter | None = None
        self._rows = 0  # those of the open part, and those that its format still holds back
        self._is_half = self._is_dropped = False
        self._file: MeasuredFile | None = self._open_file()

    @property
    def is_half(self) -> bool:
        """Whether the last page was written in part."""
        return self._is_half

    def _open_file(self) -> MeasuredFile:
        part = self._attempt.open_part(len(self.parts), self._partition.folder, self._options.stem)
        return MeasuredFile(part)

    def _require_file(self) -> MeasuredFile:
        if self._file is None:
            self._file = self._open_file()
        return self._file

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records``, and ends the part when it has reached its size.

        Raises:
            InvalidRecord: a value has no form in the format.
            Exception: the file cannot be written.
        """
        file = self._require_file()
        if self._records is None:
            options = self._options
            self._records = options.file_format.open_writer(file, self._next_file, options.declared)
        before = file.bytes
        self._is_half = True
        self._rows += len(records)
        try:
            self._records.write(records)
        except Exception:  # records are encoded before they are written
            self._is_half = self._file is not file or file.bytes != before or file.has_failed
            self._rows -= len(records)
            raise
        self._is_half = False
        target = self._options.target_size
        if target is not None and self._require_file().bytes >= target:
            self.split()

    def split(self) -> None:
        """Ends the open part; what comes next goes to another one."""
        if isinstance(self._records, SplittingWriter):
            self._is_half = True
            self._records.end_part()
            self._is_half = False
        else:
            self.end()

    def _next_file(self, rows: int) -> MeasuredFile:
        if self._is_dropped:
            raise ValueError("the parts were dropped")
        self._end_file(rows)
        self._file = self._open_file()
        return self._file

    def _end_file(self, rows: int) -> None:
        file, self._file = self._file, None
        assert file is not None
        file.close()
        part = file.figures(file.part.name, rows)
        values = self._partition.values
        self.parts.append(replace(part, partition=values) if values else part)
        self._rows -= rows

    def end(self) -> None:
        """Completes the open part, if there is one; the next record opens another. Only a first part may be empty."""
        if self._file is None:
            return
        if not self._rows and (self.parts or not self._may_be_empty):
            self._end_writer()
            self._drop_file()
            return
        self._is_half = True
        if self._records is None:
            options = self._options
            writer = options.file_format.open_writer(self._file, self._next_file, options.declared)
            self._records = writer
        self._records.close()
        self._records = None
        self._end_file(self._rows)
        self._is_half = False

    def end_group(self) -> None:
        """Writes the records that the format holds back to fill a group, if it does so."""
        if isinstance(self._records, GroupingWriter):
            self._is_half = True
            self._records.end_group()
            self._is_half = False

    def rest(self) -> None:
        """Gives up the open file for now: on a disk it is gone on with, in a store the part ends."""
        if self._file is None:
            return
        if self._attempt.can_pause and isinstance(self._records, PausingWriter):
            self._records.pause()
            self._file.rest()
        else:
            self.end()

    @property
    def _may_be_empty(self) -> bool:
        """Whether a file without records is one that readers can open: a table has columns."""
        declared = self._options.declared
        has_columns = declared is not None and bool(declared.fields)
        return has_columns or self._options.file_format.schema_files is None

    def keep(self) -> list[KeptPart]:
        """Returns all records so far as parts under the names that they have until the commit."""
        unfinished = self._pause() if self._rows else []
        kept = [replace(part, name=self._attempt.kept_name(part.name)) for part in self.parts]
        return [*kept, *unfinished]

    def _pause(self) -> list[KeptPart]:
        records = self._records  # None: only the copy of what an earlier attempt kept
        if not (
            self._attempt.can_pause and (records is None or isinstance(records, PausingWriter))
        ):
            self.split()
            return []
        self._is_half = True
        if records is not None:
            records.pause()
        file = self._require_file()
        file.sync()
        self._is_half = False
        return [file.figures(self._attempt.kept_name(file.part.name), self._rows, is_open=True)]

    def adopt(self, part: KeptPart) -> None:
        """Begins with a complete part that an earlier attempt kept."""
        self._drop_file()
        name = self._attempt.adopt_part(len(self.parts), part.name, self._options.stem)
        self.parts.append(replace(part, name=name))

    def copy(self, part: KeptPart, content: Iterable[bytes]) -> bool:
        """Goes on in a copy of the open part of an earlier attempt; returns whether it is as it was."""
        file = self._require_file()
        for data in content:
            file.write(data)
        self._rows += part.rows
        copied = file.figures(part.name, part.rows, is_open=True)
        return copied == part

    def drop(self) -> None:
        """Ends without completing the open part; never raises."""
        self._is_dropped = True
        self._end_writer()

    def _end_writer(self) -> None:
        """Lets the writer end without a trace in the file."""
        if self._file is not None:
            self._file.drop()
        if self._records is not None:
            with suppress(Exception):
                self._records.close()
        self._records = None

    def _drop_file(self) -> None:
        if self._file is not None:
            self._attempt.drop_part(self._file.part)
            self._file = None
