"""File permissions that hold for root too, so that tests of closed files and folders run everywhere."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
# Read, write and enter what the mode forbids (capabilities(7)).
_OVERRIDES = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple(
        (f"{name}{part}", ctypes.c_uint32)
        for part in range(2)
        for name in ("effective", "permitted", "inheritable")
    )


@contextmanager
def without_overrides() -> Iterator[None]:
    """Lets modes of files and folders bind this thread, also for root.

    Raises:
        OSError: this system has no capabilities.
    """
    if os.geteuid() != 0:
        yield
        return
    before = _read()
    bound = _read()
    bound.effective0 &= ~_OVERRIDES
    _write(bound)
    try:
        yield
    finally:
        _write(before)


def _read() -> _Sets:
    sets = _Sets()
    _call("capget", sets)
    return sets


def _write(sets: _Sets) -> None:
    _call("capset", sets)


def _call(name: str, sets: _Sets) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
