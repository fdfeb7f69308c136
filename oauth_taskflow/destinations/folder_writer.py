"""Writes the parts and the manifest of one output folder."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.destinations.base import FileFigures, Output, Run
from oauth_taskflow.destinations.formats.base import SchemaFiles
from oauth_taskflow.destinations.kept_parts import (
    PROGRESS_VERSION,
    FolderProgress,
    KeptPart,
    digest_of,
    has_digest,
    read_chunks,
)
from oauth_taskflow.destinations.output_folders import Attempt, as_destination_errors
from oauth_taskflow.destinations.part_stream import PartOptions, PartStream
from oauth_taskflow.destinations.rejected_parts import RejectedParts
from oauth_taskflow.destinations.schema_union import FileOpener, unite_parts
from oauth_taskflow.record_schema.json_schema import schema_to_json
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.redaction import redact_url

if TYPE_CHECKING:
    from oauth_taskflow.destinations.transfer import TransferSummary

MANIFEST_VERSION = 1
_COPY_ROWS = 1000


class Writing(msgspec.Struct, frozen=True):
    """The needs of a writer besides its attempt: the folder, the run, the id of the attempt, and the suffix of its parts.

    ``open_file`` opens a file of the folder for reading. ``schema_files`` are those of a format with schemas.
    """

    folder: Any
    run: Run
    attempt_id: str
    suffix: str
    open_file: FileOpener
    schema_files: SchemaFiles | None = None


class FolderWriter:
    """Writes one run's records; see ``destinations.files.FolderDestination``."""

    def __init__(self, attempt: Attempt, writing: Writing, options: PartOptions) -> None:
        self._folder = writing.folder
        self._attempt = attempt
        self._writing = writing
        self._stream = PartStream(attempt, options)
        self._rejected = RejectedParts(attempt)
        self._replaced: list[str] = []

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records`` in the format of the file.

        Raises:
            DestinationError: the file cannot be written, or a value has no form in the format.
        """
        with as_destination_errors("Writing records", self._folder):
            self._stream.write(records)

    def reject(self, records: Sequence[Any]) -> None:
        """Writes rejected records to a file next to the others.

        Raises:
            DestinationError: the file cannot be written.
        """
        with as_destination_errors("Writing rejected records", self._folder):
            self._rejected.write(records)

    def keep(self, state: bytes) -> None:
        """Makes all records written so far, with ``state``, outlive this process; a later attempt goes on from there.

        Raises:
            DestinationError: a step failed, or the last write did; what was kept before stays.
        """
        with as_destination_errors("Keeping the records read so far", self._folder):
            if self._stream.is_half or self._rejected.is_half:
                raise OSError("the last page was written in part")
            progress = FolderProgress(
                version=PROGRESS_VERSION,
                base=digest_of(self._attempt.found),
                format=self._writing.suffix,
                parts=self._stream.keep(),
                state=state,
                rejected=self._rejected.keep(),
            )
            self._attempt.keep(progress.encode(), self._replaced)
            self._replaced = []

    def take_over(
        self,
        parts: Sequence[KeptPart],
        open_file: Callable[[str], IO[bytes]],
        *,
        rejected: bool = False,
    ) -> bool:
        """Begins with ``parts`` that an earlier attempt kept, of rejected records or the others; returns whether they are as they were.

        Complete parts are taken as they are: by another name on a disk. The open one is copied, since the earlier
        attempt may still live.
        """
        stream = self._rejected.stream if rejected and parts else self._stream
        for part in parts:
            may_differ = part.is_open or self._attempt.can_pause  # a store keeps what it was given
            if may_differ and not _take_whole(part, open_file, stream):
                return False
            if not part.is_open:
                stream.adopt(part)
        self._replaced += [part.name for part in parts]
        return True

    def write_again(self, records: Iterator[Any], *, rejected: bool = False) -> None:
        """Writes records that an earlier attempt kept in a part of which not all are wanted."""
        write = self.reject if rejected else self.write
        while batch := list(itertools.islice(records, _COPY_ROWS)):
            write(batch)

    def suspend(self) -> None:
        """Ends without a commit: what was kept stays, for the next attempt, and nothing else; never raises."""
        self._stream.drop()
        self._rejected.drop()
        self._attempt.suspend()

    def commit(self, summary: TransferSummary) -> Output:
        """Puts the parts and their manifest in place of an earlier output.

        Raises:
            DestinationError: a step failed, or another attempt committed since this one was opened.
        """
        with as_destination_errors("Committing the output", self._folder):
            self._stream.end()
            rejected = self._rejected.end()
        return commit_parts(self._attempt, self._writing, summary, self._stream.parts, rejected)

    def abort(self) -> None:
        """Removes what was written; never raises, since another error is on its way."""
        self._stream.drop()
        self._rejected.drop()
        self._attempt.discard()


def _take_whole(part: KeptPart, open_file: Callable[[str], IO[bytes]], stream: PartStream) -> bool:
    """Returns whether a kept part is as it was; an open one is copied to ``stream``."""
    with closing(open_file(part.name)) as file:
        if part.is_open:
            return stream.copy(part, read_chunks(file, part.bytes))
        return has_digest(file, part)


def commit_parts(
    attempt: Attempt,
    writing: Writing,
    summary: TransferSummary,
    parts: Sequence[KeptPart],
    rejected: Sequence[KeptPart] = (),
) -> Output:
    """Makes complete parts, with those of ``rejected`` records, the output of a run, and returns its description.

    Raises:
        DestinationError: a step failed, or another attempt committed since this one began.
    """
    with as_destination_errors("Committing the output", writing.folder):
        schema: RecordSchema | None = None
        if parts and writing.schema_files is not None:
            parts, schema = unite_parts(attempt, parts, writing.schema_files, writing.open_file)
        names = [part.name for part in parts]
        manifest = _manifest(writing, summary, parts, schema, rejected)
        attempt.publish(manifest, [*names, *(part.name for part in rejected)])
    return Output(
        redact_url(str(writing.folder)),
        tuple(names),
        sum(part.bytes for part in parts),
        summary,
        writing.run,
        tuple(FileFigures(part.rows, part.bytes) for part in parts),
    )


def _manifest(
    writing: Writing,
    summary: TransferSummary,
    parts: Sequence[KeptPart],
    schema: RecordSchema | None,
    rejected: Sequence[KeptPart],
) -> bytes:
    run = writing.run
    manifest = {
        "version": MANIFEST_VERSION,
        "endpoint": run.endpoint,
        "run_id": run.run_id,
        "attempt": writing.attempt_id,
        "host": socket.gethostname(),
        **run.labels,
        **({"map_index": run.map_index} if run.map_index >= 0 else {}),
        "files": msgspec.to_builtins(parts),
        **({"quarantine": _describe_rejected(rejected)} if rejected else {}),
        # A contract observes the same in the summary.
        **({} if schema is None else {"schema": schema_to_json(schema)}),
        **msgspec.to_builtins(summary),
    }
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _describe_rejected(parts: Sequence[KeptPart]) -> dict[str, Any]:
    return {"rows": sum(part.rows for part in parts), "files": msgspec.to_builtins(parts)}
