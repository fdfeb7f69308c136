"""A folder of output on a disk: parts get their final name by a rename, for readers that list files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from oauth_taskflow.destinations.output_folders import (
    MANIFEST,
    TEMPORARY,
    is_ours,
    superseded_error,
)


class LocalFolder:
    """A folder on a disk of this machine or a mounted one; see ``OutputFolder``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, part: str, attempt: str) -> LocalAttempt:
        """Creates the folder where it is missing, and a temporary file in it."""
        self._path.mkdir(parents=True, exist_ok=True)
        return LocalAttempt(self._path, part, attempt)

    def remove_output(self) -> bool:
        """Removes our files, then the folder if nothing else is in it."""
        with lock_folder(self._path):
            found = [path for path in self._path.iterdir() if is_ours(path.name)]
            for path in sorted(found, key=lambda path: path.name != MANIFEST):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # files of others are in it
            self._path.rmdir()
        return bool(found)

    def has_output(self) -> bool:
        """Returns whether the folder has a manifest."""
        return (self._path / MANIFEST).exists()

    def subfolders(self) -> list[str]:
        """Returns the names of the folders in this one."""
        below = self._path.iterdir() if self._path.exists() else ()
        return [path.name for path in below if path.is_dir()]


class LocalAttempt:
    """An attempt on a disk.

    The old manifest is removed before the part is moved, and the new one is written after it. So a folder never holds
    the manifest of one attempt and the part of another. A lock on the folder keeps attempts from committing at once.
    """

    def __init__(self, folder: Path, part: str, attempt: str) -> None:
        self._folder = folder
        self.name = part
        self._temporary = folder / f".{part}.{attempt}{TEMPORARY}"
        self._manifest = folder / f".{MANIFEST}.{attempt}{TEMPORARY}"
        with lock_folder(folder):
            self._found = _read(folder / MANIFEST)
            self.handle: IO[bytes] = self._temporary.open("xb")

    def publish(self, manifest: bytes) -> None:
        """Moves the part and the manifest into place.

        Raises:
            DestinationError: another attempt committed since this one began.
        """
        write_safely(self._manifest, manifest)
        with lock_folder(self._folder):
            if _read(self._folder / MANIFEST) != self._found:
                raise superseded_error(self._folder)
            mine = {self.name, self._temporary.name, self._manifest.name, MANIFEST}
            others = [
                path
                for path in self._folder.iterdir()
                if is_ours(path.name) and path.name not in mine
            ]
            self._temporary.stat()  # raises when the file is gone, before the old output is touched
            (self._folder / MANIFEST).unlink(missing_ok=True)
            self._temporary.replace(self._folder / self.name)
            self._manifest.replace(self._folder / MANIFEST)
            for path in others:
                path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Removes the temporary files."""
        with suppress(Exception):
            self.handle.close()
        for path in (self._temporary, self._manifest):
            with suppress(Exception):
                path.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keeps other processes out of ``folder`` until the block ends; a killed process leaves no lock.

    Some network file systems lock only files open for writing, or nothing at all. There the folder is used without a
    lock, and the check of the manifest has a gap of milliseconds.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_safely(path: Path, data: bytes) -> None:
    """Writes ``data`` and waits until the disk has it."""
    with path.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _read(path: Path) -> bytes | None:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return None
