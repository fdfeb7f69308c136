"""Writes the parts and the manifest of one output folder."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from oauth_taskflow.destinations.base import FileFigures, Output, Run
from oauth_taskflow.destinations.formats import find_format
from oauth_taskflow.destinations.kept_parts import (
    PROGRESS_VERSION,
    FolderProgress,
    KeptPart,
    digest_of,
)
from oauth_taskflow.destinations.output_folders import Attempt, as_destination_errors
from oauth_taskflow.redaction import redact_url

if TYPE_CHECKING:
    from oauth_taskflow.destinations.formats.base import PausingWriter
    from oauth_taskflow.destinations.transfer import TransferSummary

MANIFEST_VERSION = 1
_COPY_BYTES = 1 << 20
_COPY_ROWS = 1000


class _Measured:
    """Counts and hashes the bytes on their way to a file."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.bytes += len(data)
        self._handle.write(data)
        return len(data)

    def flush(self) -> None:
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
        self._handle = io.BytesIO()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _PartFile:
    """The part that is being written."""

    def __init__(self, attempt: Attempt) -> None:
        self._name = attempt.name
        self.measured = _Measured(attempt.handle)
        self.records = find_format(attempt.name).open_writer(self.measured)
        self.rows = 0

    def figures(self, name: str | None = None) -> KeptPart:
        measured = self.measured
        return KeptPart(name or self._name, self.rows, measured.bytes, measured.sha256)

    def close(self) -> KeptPart:
        self.records.close()
        self.measured.close()
        return self.figures()


class FolderWriter:
    """Writes one run's records; see ``destinations.files.FolderDestination``."""

    def __init__(self, folder: Any, attempt: Attempt, run: Run, attempt_id: str) -> None:
        self._folder = folder
        self._attempt = attempt
        self._run = run
        self._attempt_id = attempt_id
        # The parts before the current one, in stores alone: a disk goes on in the same file.
        self._parts: list[KeptPart] = []
        self._file: _PartFile | None = _PartFile(attempt)
        self._replaced: list[str] = []
        self._is_half = False

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records`` in the format of the file.

        Raises:
            DestinationError: the file cannot be written, or a value has no form in the format.
        """
        with as_destination_errors("Writing records", self._folder):
            if self._file is None:
                self._attempt.open_part(len(self._parts))
                self._file = _PartFile(self._attempt)
            before = self._file.measured.bytes
            self._is_half = True
            try:
                self._file.records.write(records)
            except Exception:  # records are encoded before they are written
                self._is_half = self._file.measured.bytes != before
                raise
        self._is_half = False
        self._file.rows += len(records)

    def keep(self, state: bytes) -> None:
        """Makes all records written so far, with ``state``, outlive this process; a later attempt goes on from there.

        Raises:
            DestinationError: a step failed, or the last write did; what was kept before stays.
        """
        with as_destination_errors("Keeping the records read so far", self._folder):
            if self._is_half:
                raise OSError("the last page was written in part")
            unfinished = self._keep_file()  # in stores, this makes another of the parts
            progress = FolderProgress(
                version=PROGRESS_VERSION,
                base=digest_of(self._attempt.found),
                format=self._attempt.name.partition(".")[2],
                parts=[*self._parts, *unfinished],
                state=state,
            )
            self._attempt.keep(progress.encode(), self._replaced)
            self._replaced = []

    def _keep_file(self) -> list[KeptPart]:
        file = self._file
        if file is None or not file.rows:
            return []
        if self._attempt.temporary is None:
            self._parts.append(file.close())
            self._file = None
            return []
        self._is_half = True
        cast("PausingWriter", file.records).pause()
        file.measured.sync()
        self._is_half = False
        return [file.figures(self._attempt.temporary)]

    def take_over(self, parts: Sequence[KeptPart], contents: Iterable[Iterable[bytes]]) -> bool:
        """Begins with whole ``parts`` that an earlier attempt kept; returns whether they are as they were.

        A store keeps them under their names. On a disk their ``contents`` are copied: the earlier attempt may still live.
        """
        if self._attempt.temporary is None and parts:
            self._parts = list(parts)
            self._attempt.drop_part()
            self._file = None
        if self._attempt.temporary is None:
            return True
        assert self._file is not None
        for part, content in zip(parts, contents, strict=True):
            for data in content:
                self._file.measured.write(data)
            self._file.rows += part.rows
            self._replaced.append(part.name)
            if self._file.measured.sha256 != part.sha256:
                return False
        return True

    def write_again(self, records: Iterator[Any]) -> None:
        """Writes records that an earlier attempt kept in a part of which not all are wanted."""
        while batch := list(itertools.islice(records, _COPY_ROWS)):
            self.write(batch)

    def suspend(self) -> None:
        """Ends without a commit: what was kept stays, for the next attempt, and nothing else; never raises."""
        self._drop_file()
        self._attempt.suspend()

    def commit(self, summary: TransferSummary) -> Output:
        """Puts the parts and their manifest in place of an earlier output.

        Raises:
            DestinationError: a step failed, or another attempt committed since this one was opened.
        """
        with as_destination_errors("Committing the output", self._folder):
            if self._file is not None:
                self._parts.append(self._file.close())
            names = [part.name for part in self._parts]
            self._attempt.publish(self._manifest(summary), names)
        return Output(
            redact_url(str(self._folder)),
            tuple(names),
            sum(part.bytes for part in self._parts),
            summary,
            self._run,
            tuple(FileFigures(part.rows, part.bytes) for part in self._parts),
        )

    def abort(self) -> None:
        """Removes what was written; never raises, since another error is on its way."""
        self._drop_file()
        self._attempt.discard()

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.measured.drop()
            with suppress(Exception):
                self._file.records.close()

    def _manifest(self, summary: TransferSummary) -> bytes:
        run = self._run
        manifest = {
            "version": MANIFEST_VERSION,
            "endpoint": run.endpoint,
            "run_id": run.run_id,
            "attempt": self._attempt_id,
            "host": socket.gethostname(),
            **run.labels,
            **({"map_index": run.map_index} if run.map_index >= 0 else {}),
            "files": msgspec.to_builtins(self._parts),
            **msgspec.to_builtins(summary),
        }
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yields the first ``size`` bytes of an open file in pieces."""
    while size and (data := file.read(min(size, _COPY_BYTES))):
        size -= len(data)
        yield data
