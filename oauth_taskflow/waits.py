"""Seconds that requests waited, by reason: noted where a request waits, collected where its pull is.

Reasons are short: ``HTTP 429``, ``ConnectionError``, ``request budget``. Threads that copy the context of the one that
collects, as all of this package do, note their waits there too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

BUDGET = "request budget"
TOKEN = "token of another worker"


class Waits:
    """A context manager that collects the waits of its block, in all its threads; also for the block around it."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self.earlier: Mapping[str, float] = {}
        self._lock = threading.Lock()
        self._outer: Waits | None = None

    def __enter__(self) -> Waits:  # noqa: PYI034 - Self needs Python 3.11
        self._outer = _collected.get()
        _collected.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _collected.set(self._outer)

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def add(self, reason: str, seconds: float) -> None:
        """Adds a wait; safe to use from any thread."""
        with self._lock:
            self._seconds[reason] = self._seconds.get(reason, 0.0) + seconds
        if self._outer is not None:
            self._outer.add(reason, seconds)

    def seconds(self) -> dict[str, float]:
        """Returns the seconds so far by reason, to the millisecond, the longest first; those of many requests add up.

        The seconds of ``earlier``, before this block, are among them.
        """
        with self._lock:
            return add_waits([self.earlier, self._seconds])


_collected: ContextVar[Waits | None] = ContextVar("oauth_taskflow_waits", default=None)


def set_earlier_waits(seconds: Mapping[str, float]) -> None:
    """Counts ``seconds`` by reason, of attempts before this one, among those that are collected around this call."""
    waits = _collected.get()
    if waits is not None:
        waits.earlier = seconds


def collected_waits() -> dict[str, float]:
    """Returns the seconds by reason that are collected around this call."""
    waits = _collected.get()
    return {} if waits is None else waits.seconds()


def note_wait(reason: str, seconds: float) -> None:
    """Adds a wait to those that are collected around this call, if any are."""
    waits = _collected.get()
    if waits is not None and seconds > 0:
        waits.add(reason, seconds)


def add_waits(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Returns the sums by reason, to the millisecond, the longest first."""
    sums: dict[str, float] = {}
    for reason, seconds in (item for waits in several for item in waits.items()):
        sums[reason] = sums.get(reason, 0.0) + seconds
    return {reason: round(sums[reason], 3) for reason in sorted(sums, key=lambda key: -sums[key])}


def describe_waits(waits: Mapping[str, float]) -> str:
    """Returns ``waited 12.0 s (HTTP 429 8.0 s, request budget 4.0 s)``; an empty text without waits."""
    if not waits:
        return ""
    parts = ", ".join(f"{reason} {seconds:.1f} s" for reason, seconds in waits.items())
    return f"waited {sum(waits.values()):.1f} s ({parts})"
