"""The file destination: JSON Lines in a folder of its own, with a manifest written last."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from oauth_taskflow.api.destinations import Output, Run, Summary
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url

MANIFEST = "_manifest.json"
MANIFEST_VERSION = 1
_GZIP_LEVEL = 2  # twice as fast as 6 and a tenth larger on JSON
_TEMPORARY = ".tmp"
_BUFFER = 1 << 20
_encoder = msgspec.json.Encoder()

FileFormat = Literal["jsonl", "jsonl.gz"]
# pathlib.Path, UPath or Airflow's ObjectStoragePath: alike in what is used here, without a type in common.
Folder = Any


class _Measured:
    """Counts and hashes what goes to a file."""

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
        """Close the file, its content safely on the disk where there is one."""
        self.flush()
        with suppress(OSError, AttributeError, ValueError):  # object stores have no descriptor
            os.fsync(self._handle.fileno())
        self._handle.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def _as_destination_errors(what: str, path: Any) -> Iterator[None]:
    try:
        yield
    # Object stores raise exceptions of their own libraries, which we do not import.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DestinationError(
            f"{what} failed ({type(error).__name__}: {reason})",
            where=f"at {redact_url(str(path))}",
            hint="Check the path, its permissions, free space, and the connection of the object store.",
        ) from error


def remove_output(folder: Folder) -> bool:
    """Remove what a run wrote to ``folder``, then the folder if nothing else is in it; whether there was anything.

    The manifest goes first, so that nobody takes the rest for a whole run. Files of others stay.

    Raises:
        DestinationError: something cannot be removed.
    """
    with _as_destination_errors("Removing older output", folder):
        found = [path for path in folder.iterdir() if _is_ours(path.name)]
        for path in sorted(found, key=lambda path: path.name != MANIFEST):
            path.unlink(missing_ok=True)
    with suppress(OSError, NotImplementedError):  # not empty; object stores have no folders
        folder.rmdir()
    return bool(found)


def _is_ours(name: str) -> bool:
    return (
        name == MANIFEST
        or name.startswith("part-")
        or (name.startswith(".") and name.endswith(_TEMPORARY))
    )


class FolderDestination:
    """JSON Lines below ``folder``, which belongs to one task instance alone.

    ``folder`` is a ``pathlib.Path`` or any object like it. Records are written to a temporary name beside the final
    one, moved into place on commit, and described by ``_manifest.json``, which is removed before the move and
    written after it: a reader that waits for the manifest never sees half a run. A run with no records leaves an
    empty file and a manifest.
    """

    def __init__(self, folder: Folder, file_format: FileFormat = "jsonl") -> None:
        self._folder = folder
        self._format: FileFormat = file_format

    def open(self, run: Run) -> FolderWriter:
        """A writer; temporary files of killed writers are removed.

        Raises:
            DestinationError: the folder cannot be written.
        """
        with _as_destination_errors("Opening the output folder", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in list(self._folder.iterdir()):
                if path.name.startswith(".") and path.name.endswith(_TEMPORARY):
                    path.unlink(missing_ok=True)
            return FolderWriter(self._folder, self._format, run)


class FolderWriter:
    """Writes one run's records; see ``FolderDestination``."""

    def __init__(self, folder: Folder, file_format: FileFormat, run: Run) -> None:
        self._folder = folder
        self._run = run
        self._name = f"part-00000.{file_format}"
        self._mark = secrets.token_hex(6)
        self._temporary = folder / f".{self._name}.{self._mark}{_TEMPORARY}"
        self._measured = _Measured(self._temporary.open("wb"))
        self._target: _Measured | gzip.GzipFile = self._measured
        if file_format == "jsonl.gz":
            # Neither name nor time inside: the same records give the same bytes.
            self._target = gzip.GzipFile(
                filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=self._measured, mtime=0
            )
        self._rows = 0

    def write(self, records: Sequence[Any]) -> None:
        """Append ``records``, one line each.

        Raises:
            DestinationError: the file cannot be written, or a value has no JSON form.
        """
        with _as_destination_errors("Writing records", self._folder):
            self._target.write(_encoder.encode_lines(records))
        self._rows += len(records)

    def commit(self, summary: Summary) -> Output:
        """Move the file into place, then write the manifest.

        Raises:
            DestinationError: something failed; the final name then holds no part of this run.
        """
        with _as_destination_errors("Committing the output", self._folder):
            self._close()
            before = self._read_manifest()
            (self._folder / MANIFEST).unlink(missing_ok=True)
            self._move(self._temporary, self._name)
            self._write_manifest(summary)
            self._remove_older(before)
        return Output(redact_url(str(self._folder)), (self._name,), self._measured.bytes, summary)

    def abort(self) -> None:
        """Remove the temporary file; never raises, since another error is on its way."""
        with suppress(Exception):
            self._close()
        with suppress(Exception):
            self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._target is not self._measured:
            self._target.close()
        self._measured.close()

    def _move(self, temporary: Any, name: str) -> None:
        """Atomic on one file system; object stores copy, which shows the object only when it is whole."""
        move = temporary.replace if isinstance(temporary, Path) else temporary.rename
        move(self._folder / name)

    def _write_manifest(self, summary: Summary) -> None:
        file = {
            "name": self._name,
            "rows": self._rows,
            "bytes": self._measured.bytes,
            "sha256": self._measured.sha256,
        }
        manifest = {
            "version": MANIFEST_VERSION,
            "endpoint": self._run.endpoint,
            "run_id": self._run.run_id,
            **self._run.labels,
            "files": [file],
            **msgspec.to_builtins(summary),
        }
        temporary = self._folder / f".{MANIFEST}.{self._mark}{_TEMPORARY}"
        with temporary.open("wb") as handle:
            handle.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        self._move(temporary, MANIFEST)

    def _read_manifest(self) -> list[str]:
        """Names of the files of an earlier try; none when its manifest is absent or unreadable."""
        with suppress(Exception):
            with (self._folder / MANIFEST).open("rb") as handle:
                files = msgspec.json.decode(handle.read())["files"]
            return [str(file["name"]) for file in files]
        return []

    def _remove_older(self, names: list[str]) -> None:
        """An earlier try may have used another format; a name with a path in it is none of ours."""
        for name in names:
            if name != self._name and "/" not in name and name.startswith("part-"):
                (self._folder / name).unlink(missing_ok=True)
