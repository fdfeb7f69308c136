"""Folders on this machine's disk for as long as a block lasts, which do not outlive a process that was killed for long.

Each is locked by its owner (``flock``), and the system ends that lock with the process. So a folder without a lock was left
behind; the process that opens the next one removes it. Only folders of this user are touched.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def open_temporary_folder(kind: str) -> Iterator[str]:
    """Makes an empty folder for this user only, and removes it after the block.

    ``kind`` is in its name; folders of the same kind whose process was killed are removed first.
    """
    # Releases before the lock wrote "-": theirs look abandoned while a task uses them, and workers are not upgraded all at once.
    prefix = f"oauth-taskflow.{kind}."
    _remove_abandoned(tempfile.gettempdir(), prefix)
    folder, lock = _make_locked(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_locked(prefix: str) -> tuple[str, int]:
    """A new folder and the descriptor that holds its lock."""
    while True:
        folder = tempfile.mkdtemp(prefix=prefix)
        # Until it is locked it looks abandoned: another process may remove it before it is opened, or before the lock.
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # a file system without locks: there nothing is ever removed
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return folder, lock
        os.close(lock)


def _remove_abandoned(top: str, prefix: str) -> None:
    with os.scandir(top) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(prefix)]
    for path in found:
        with suppress(OSError):  # its owner lives, it has just gone, or it is not this user's
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: str) -> None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
