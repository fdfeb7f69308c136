"""A folder of output on a disk: parts get their final name by a rename, for readers that list files."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from oauth_taskflow.destinations.output_folders import (
    MANIFEST,
    PART,
    PROGRESS,
    TEMPORARY,
    OpenPart,
    begins_output,
    find_attempt,
    is_ours,
    is_partition,
    name_part,
    superseded_error,
)


class LocalFolder:
    """A folder on a disk of this machine or a mounted one; see ``OutputFolder``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, suffix: str, attempt: str) -> LocalAttempt:
        """Creates the folder where it is missing, and removes what attempts left that were killed."""
        self._path.mkdir(parents=True, exist_ok=True)
        return LocalAttempt(self._path, suffix, attempt)

    def remove_output(self) -> bool:
        """Removes our files, then the folder if nothing else is in it."""
        with lock_folder(self._path):
            found = sorted(_find_ours(self._path), key=lambda name: name != MANIFEST)
            for name in found:
                (self._path / name).unlink(missing_ok=True)
            _remove_folders(self._path, found)
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

    Parts are written under temporary names. The old manifest is removed before they are moved, and the new one is written
    after them. So a folder never holds the manifest of one attempt and a part of another. A lock on the folder keeps
    attempts from committing at once.

    An attempt holds a lock on its temporary manifest from its beginning to its end. One that is there without a lock was left
    by a process that was killed.
    """

    def __init__(self, folder: Path, suffix: str, attempt: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._attempt = attempt
        self._temporaries: dict[str, Path] = {}  # by the final names of the parts
        self._handles: list[IO[bytes]] = []
        self._progress = folder / f".{PROGRESS}.{attempt}{TEMPORARY}"
        self._manifest = folder / f".{MANIFEST}.{attempt}{TEMPORARY}"
        with lock_folder(folder):
            self.found = _read(folder / MANIFEST)
            _remove_leftovers(folder)
            self._alive = self._manifest.open("xb")
            with suppress(OSError):  # see lock_folder
                fcntl.flock(self._alive, fcntl.LOCK_EX)

    @property
    def can_pause(self) -> bool:
        """Always: a file that is open can be kept too."""
        return True

    def open_part(self, number: int, partition: str = "", stem: str = PART) -> OpenPart:
        """Creates the temporary file of a part."""
        name, temporary = self._name_part(number, stem, partition)
        created = _create_in_partition(temporary) if partition else temporary.open("xb")
        return OpenPart(name, self._track(created), lambda: self._track(temporary.open("ab")))

    def _track(self, handle: IO[bytes]) -> IO[bytes]:
        self._handles = [one for one in self._handles if not one.closed] + [handle]
        return handle

    def _name_part(self, number: int, stem: str, partition: str = "") -> tuple[str, Path]:
        name = name_part(number, self._suffix, stem)
        temporary = self._folder / partition / f".{name}.{self._attempt}{TEMPORARY}"
        name = f"{partition}/{name}" if partition else name
        self._temporaries[name] = temporary
        return name, temporary

    def drop_part(self, part: OpenPart) -> None:
        """Removes the temporary file."""
        part.handle.close()
        self._temporaries.pop(part.name).unlink(missing_ok=True)

    def kept_name(self, name: str) -> str:
        """Returns the temporary name, after the folder of the partition."""
        return self._temporaries[name].relative_to(self._folder).as_posix()

    def adopt_part(self, number: int, kept_name: str, stem: str = PART) -> str:
        """Gives the file of a complete part another temporary name; the earlier attempt may still use the first."""
        name, temporary = self._name_part(number, stem)
        try:
            temporary.hardlink_to(self._folder / kept_name)
        except OSError:  # a file system without hard links
            shutil.copyfile(self._folder / kept_name, temporary)
        return name

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
        """Closes the parts, and removes those that no progress names, or all when another attempt has committed since."""
        with suppress(Exception):
            if _read(self._folder / MANIFEST) != self.found:  # nothing goes on from here any more
                self.discard()
                return
        self._close()
        with suppress(Exception):
            progress = _read(self._folder / PROGRESS) or b""
            for path in self._temporaries.values():
                if path.name.encode() not in progress:
                    path.unlink(missing_ok=True)
            self._progress.unlink(missing_ok=True)
            self._manifest.unlink(missing_ok=True)
        self._alive.close()

    def _close(self) -> None:
        for handle in self._handles:
            with suppress(Exception):
                handle.close()

    def publish(self, manifest: bytes, names: Sequence[str]) -> None:
        """Moves the parts and the manifest into place.

        Raises:
            DestinationError: another attempt committed since this one began.
        """
        write_safely(self._manifest, manifest)
        with lock_folder(self._folder):
            if _read(self._folder / MANIFEST) != self.found:
                raise superseded_error(self._folder)
            moves = {name: self._temporaries[name] for name in names}
            temporaries = (path.relative_to(self._folder).as_posix() for path in moves.values())
            mine = {*names, *temporaries, self._manifest.name, MANIFEST}
            others = [name for name in _find_ours(self._folder) if name not in mine]
            for temporary in moves.values():
                temporary.stat()  # raises when a file is gone, before the old output is touched
            (self._folder / MANIFEST).unlink(missing_ok=True)
            for name, temporary in moves.items():
                temporary.replace(self._folder / name)
            self._manifest.replace(self._folder / MANIFEST)
            for name in others:
                (self._folder / name).unlink(missing_ok=True)
            _remove_folders(self._folder, others)
        self._alive.close()

    def discard(self) -> None:
        """Removes the temporary files, and progress that needs them."""
        self._close()
        with suppress(Exception):
            progress = _read(self._folder / PROGRESS) or b""
            if any(path.name.encode() in progress for path in self._temporaries.values()):
                (self._folder / PROGRESS).unlink(missing_ok=True)
        for path in (*self._temporaries.values(), self._progress, self._manifest):
            with suppress(Exception):
                path.unlink(missing_ok=True)
        _remove_folders(self._folder, self._temporaries)
        self._alive.close()


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


def _remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of attempts whose process was killed, except those that a later attempt can go on with.

    The temporary manifest goes last: without it, the files of an attempt stay until a commit.
    """
    manifests = [path for path in folder.glob(f".{MANIFEST}.*{TEMPORARY}") if is_ours(path.name)]
    killed = {find_attempt(path.name) for path in manifests if _is_abandoned(path)}
    if not killed:  # the common case: the parts of many partitions are not looked through
        return
    progress = _read(folder / PROGRESS) or b""
    left = [name for name in _find_ours(folder) if find_attempt(name) in killed]
    for name in sorted(left, key=_is_manifest):
        if PurePosixPath(name).name.encode() not in progress:
            with suppress(OSError):  # files of another user wait for the commit, which says so
                (folder / name).unlink(missing_ok=True)
    _remove_folders(folder, left)


def _is_manifest(name: str) -> bool:
    return name.startswith(f".{MANIFEST}.")


def _is_abandoned(path: Path) -> bool:
    """Returns whether a file is the temporary manifest of an attempt that holds no lock on it any more."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it lives, it has just ended, or this file system knows no locks
        return False
    return True


def write_safely(path: Path, data: bytes) -> None:
    """Writes ``data`` and waits until the disk has it."""
    with path.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _find_ours(folder: Path, prefix: str = "") -> Iterator[str]:
    """Yields the names of our files in a folder and in the folders of its partitions."""
    with os.scandir(folder) as entries:
        found = list(entries)
    if prefix and any(begins_output(entry.name) for entry in found):
        return  # another output, whose own attempts replace and remove it
    for entry in found:
        if is_partition(entry.name) and entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):  # another attempt has just ended, see _remove_folders
                yield from _find_ours(folder / entry.name, f"{prefix}{entry.name}/")
        elif is_ours(entry.name):
            yield prefix + entry.name


def _create_in_partition(path: Path) -> IO[bytes]:
    """Creates a file and the folders of its partition, which another attempt that ends may remove while they are empty."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return path.open("xb")
    raise FileNotFoundError(errno.ENOENT, "The folder is removed again and again", str(path.parent))


def _remove_folders(folder: Path, names: Iterable[str]) -> None:
    """Removes the folders of partitions in which files with these names were, if they are empty now."""
    below = {path for name in names for path in PurePosixPath(name).parents if path.name}
    for path in sorted(below, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # another attempt has files there
            (folder / path).rmdir()


def _read(path: Path) -> bytes | None:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return None
