"""Reads a spec's file. It refuses other kinds of files, which might block, and files too big to be a spec."""

from __future__ import annotations

import os
import stat

MAX_BYTES = 1024 * 1024
SKIMMED_BYTES = 32 * 1024
_PLAIN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Unreadable(Exception):
    """The file cannot be a spec, whatever its contents; the text gives the reason."""


def read_spec(path: str) -> bytes:
    """The bytes of the file, at most ``MAX_BYTES``.

    Raises:
        Unreadable: it is missing, closed to this user, not a plain file, or too big.
    """
    try:
        # A named pipe without a writer would hold a plain open for ever; a device may do anything when opened.
        _refuse_other_kinds(os.stat(path).st_mode)  # noqa: PTH116 - as texts: Path costs more than the call
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(descriptor)
            _refuse_other_kinds(status.st_mode)  # it may have been exchanged in between
            content = _read(descriptor, status.st_size)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise Unreadable(reason or str(error)) from error
    if len(content) > MAX_BYTES:
        raise Unreadable("it is bigger than 1 MiB, which no spec is")
    return content


def skim_spec(path: str) -> bytes:
    """The first ``SKIMMED_BYTES`` of a plain file, for half of the system calls of ``read_spec``; as many are not all.

    A file system in user space may hand over less than there is: what must not be missed needs ``read_spec``.

    Raises:
        OSError: it is missing, closed to this user, or a link.
    """
    descriptor = os.open(path, _PLAIN)
    try:
        return os.read(descriptor, SKIMMED_BYTES)
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int) -> bytes:
    """At most one byte more than ``MAX_BYTES``; without the buffer of a file object, which would cost as much as the read.

    A file of as many bytes as its ``size`` says ends there: asking again for its end would cost as much as its bytes.
    """
    content = os.read(descriptor, min(size, MAX_BYTES) + 1)
    if len(content) == size:
        return content
    while len(content) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES + 1 - len(content))):
        content += more
    return content


def _refuse_other_kinds(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")
        raise Unreadable(f"it is {kind}, not a plain file")
