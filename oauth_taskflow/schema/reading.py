"""Plain values as typed ones, by any number of threads."""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

_T = TypeVar("_T")
_LOCK = threading.Lock()
_KNOWN: set[Any] = set()


@overload
def read_as(kind: type[_T], value: Any) -> _T: ...


@overload
def read_as(kind: Any, value: Any) -> Any: ...


def read_as(kind: Any, value: Any) -> Any:
    """``value`` as a ``kind``, as ``msgspec.convert`` makes it.

    msgspec learns a type when it is used first. A second thread that uses the type meanwhile reads what is half filled, and
    ends the process (SIGSEGV): so one thread at a time uses a type for the first time.

    Raises:
        msgspec.ValidationError: it is none.
    """
    if kind in _KNOWN:
        return msgspec.convert(value, kind)
    with _LOCK:
        found = msgspec.convert(value, kind)
        _KNOWN.add(kind)
    return found
