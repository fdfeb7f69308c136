"""A folder of output on a disk: parts get their final name by a rename, for readers that list files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from oauth_taskflow.destinations.output_folders import (
    MANIFEST,
    PROGRESS,
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

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file; None when it is missing."""
        return _read(self._path / name)

    def size(self, name: str) -> int | None:
        """Returns the size of a file; None when it is missing."""
        with suppress(FileNotFoundError):
            return (self._path / name).stat().st_size
        return None

    def open_file(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        return (self._path / name).open("rb")

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
        self._progress = folder / f".{PROGRESS}.{attempt}{TEMPORARY}"
        self._manifest = folder / f".{MANIFEST}.{attempt}{TEMPORARY}"
        with lock_folder(folder):
            self.found = _read(folder / MANIFEST)
            self.handle: IO[bytes] = self._temporary.open("xb")

    @property
    def temporary(self) -> str | None:
        """The name of the part until the commit."""
        return self._temporary.name

    def open_part(self, number: int) -> None:
        """Never asked: there is one part."""
        raise NotImplementedError

    def drop_part(self) -> None:
        """Never asked: there is one part."""
        raise NotImplementedError

    def keep(self, progress: bytes, replaced: Sequence[str]) -> None:
        """Writes the progress file by a rename.

        Raises:
            DestinationError: another attempt committed since this one began, and its commit removed these files.
        """
        with lock_folder(self._folder):
            if _read(self._folder / MANIFEST) != self.found:
                raise superseded_error(self._folder)
            write_safely(self._progress, progress)
            self._progress.replace(self._folder / PROGRESS)
        for name in replaced:
            (self._folder / name).unlink(missing_ok=True)

    def suspend(self) -> None:
        """Closes the part, and removes it when no progress names it, or when another attempt has committed since."""
        with suppress(Exception):
            if _read(self._folder / MANIFEST) != self.found:  # nothing goes on from here any more
                self.discard()
                return
        with suppress(Exception):
            self.handle.close()
        with suppress(Exception):
            if not self._is_kept():
                self._temporary.unlink(missing_ok=True)
            self._progress.unlink(missing_ok=True)
            self._manifest.unlink(missing_ok=True)

    def _is_kept(self) -> bool:
        return self._temporary.name.encode() in (_read(self._folder / PROGRESS) or b"")

    def publish(self, manifest: bytes, names: Sequence[str]) -> None:  # noqa: ARG002 - there is one part
        """Moves the part and the manifest into place.

        Raises:
            DestinationError: another attempt committed since this one began.
        """
        write_safely(self._manifest, manifest)
        with lock_folder(self._folder):
            if _read(self._folder / MANIFEST) != self.found:
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
        """Removes the temporary files, and progress that needs them."""
        with suppress(Exception):
            self.handle.close()
        with suppress(Exception):
            if self._is_kept():
                (self._folder / PROGRESS).unlink(missing_ok=True)
        for path in (self._temporary, self._manifest, self._progress):
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
