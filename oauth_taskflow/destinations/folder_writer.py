"""Writes the part and the manifest of one output folder."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import msgspec

from oauth_taskflow.destinations.base import Output, Run
from oauth_taskflow.destinations.formats import find_format
from oauth_taskflow.destinations.output_folders import Attempt, as_destination_errors
from oauth_taskflow.redaction import redact_url

if TYPE_CHECKING:
    from oauth_taskflow.destinations.transfer import TransferSummary

MANIFEST_VERSION = 1


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

    def close(self) -> None:
        """Closes the file, after its content is safely on the disk where there is one."""
        self.flush()
        with suppress(OSError, AttributeError, ValueError):  # object stores have no descriptor
            os.fsync(self._handle.fileno())
        self._handle.close()

    def drop(self) -> None:
        """Discards everything written from now on, and leaves the file as it is."""
        self._handle = io.BytesIO()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class FolderWriter:
    """Writes one run's records; see ``destinations.files.FolderDestination``."""

    def __init__(self, folder: Any, attempt: Attempt, run: Run, attempt_id: str) -> None:
        self._folder = folder
        self._attempt = attempt
        self._run = run
        self._attempt_id = attempt_id
        self._measured = _Measured(attempt.handle)
        self._records = find_format(attempt.name).open_writer(self._measured)
        self._rows = 0

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records`` in the format of the file.

        Raises:
            DestinationError: the file cannot be written, or a value has no form in the format.
        """
        with as_destination_errors("Writing records", self._folder):
            self._records.write(records)
        self._rows += len(records)

    def commit(self, summary: TransferSummary) -> Output:
        """Puts the part and its manifest in place of an earlier output.

        Raises:
            DestinationError: a step failed, or another attempt committed since this one was opened.
        """
        with as_destination_errors("Committing the output", self._folder):
            self._records.close()
            self._measured.close()
            self._attempt.publish(self._manifest(summary))
        name = self._attempt.name
        location = redact_url(str(self._folder))
        return Output(location, (name,), self._measured.bytes, summary, self._run)

    def abort(self) -> None:
        """Removes what was written; never raises, since another error is on its way."""
        self._measured.drop()
        with suppress(Exception):
            self._records.close()
        self._attempt.discard()

    def _manifest(self, summary: TransferSummary) -> bytes:
        file = {
            "name": self._attempt.name,
            "rows": self._rows,
            "bytes": self._measured.bytes,
            "sha256": self._measured.sha256,
        }
        run = self._run
        manifest = {
            "version": MANIFEST_VERSION,
            "endpoint": run.endpoint,
            "run_id": run.run_id,
            "attempt": self._attempt_id,
            "host": socket.gethostname(),
            **run.labels,
            **({"map_index": run.map_index} if run.map_index >= 0 else {}),
            "files": [file],
            **msgspec.to_builtins(summary),
        }
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
