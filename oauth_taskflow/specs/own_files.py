"""Files in which one process keeps for the next what it learned of a folder of specs. They are for one user only.

Files of another user, or that others may read or write, are ignored, and links are not followed. Writing replaces a file at
once, so that several processes do not disturb each other.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MOST_BYTES = 1 << 30
_LONGEST_WRITE = 3600.0  # seconds


def name_for(root: Path, ending: str) -> str:
    """Returns the name of the file about the folder ``root``, whatever path leads to it."""
    name = hashlib.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{name[:32]}{ending}"


def read_own(path: Path) -> bytes:
    """The bytes of ``path``; empty where it is missing, or where others than this user could have written or may read it."""
    try:
        if not _is_own(path.parent.lstat(), stat.S_ISDIR):
            return b""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            is_usable = _is_own(status, stat.S_ISREG) and status.st_size <= _MOST_BYTES
            return file.read() if is_usable else b""
    except OSError:
        return b""


def _is_own(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    mode = status.st_mode
    return is_kind(mode) and status.st_uid == os.geteuid() and not mode & 0o077


def write_own(path: Path, content: bytes) -> None:
    """Puts ``content`` into ``path`` at once, readable for this user only.

    Raises:
        OSError: it cannot be written, or the folder belongs to another user or is open to others.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_own(path.parent.lstat(), stat.S_ISDIR):
        message = "the folder is another user's, or others may use it (chmod 700)"
        raise PermissionError(message)
    _remove_abandoned(path)
    # Created with mode 0600, under a name that cannot be foreseen.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105 - as texts
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - as texts
        raise


def _remove_abandoned(path: Path) -> None:
    """Removes what processes that were killed while they wrote ``path`` left: no write takes so long."""
    for left in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):
            if left.lstat().st_mtime < time.time() - _LONGEST_WRITE:
                left.unlink()
